// A descriptor that one thread makes readable and another polls.
#pragma once

namespace entente {

class EventFd {
 public:
  EventFd();  // throws std::system_error when the process has no descriptor left
  ~EventFd();
  EventFd(const EventFd&) = delete;
  EventFd& operator=(const EventFd&) = delete;

  void signal();
  void clear();
  [[nodiscard]] int fd() const { return fd_; }

 private:
  int fd_;
};

}  // namespace entente
