// A network namespace of a test's own: its loopback device, its addresses, and nothing else.
//
// It lives as long as this object, or a process that was started inside, and the kernel takes it
// away when the test's process ends, however that ends. Making one needs root.
#pragma once

#include <optional>
#include <string>

namespace entente::integration {

// An open descriptor, closed with its owner.
class Handle {
 public:
  explicit Handle(int fd = -1) : fd_(fd) {}
  ~Handle();
  Handle(Handle&& other) noexcept;
  Handle& operator=(Handle&& other) noexcept;
  [[nodiscard]] int fd() const { return fd_; }

 private:
  int fd_;
};

class NetworkSpace {
 public:
  // Throws std::system_error when the kernel refuses.
  NetworkSpace();

  // While it lives, the calling thread, and what it starts, is in the namespace. With none, the
  // thread stays where it is.
  class Inside {
   public:
    explicit Inside(const NetworkSpace* space);
    ~Inside();
    Inside(const Inside&) = delete;
    Inside& operator=(const Inside&) = delete;

   private:
    Handle before_;
  };

  // A TUN device, up, with `address` and its peer's: whoever holds the result reads the packets
  // that are sent to the peer and writes those that come from it. Throws std::system_error.
  [[nodiscard]] Handle open_tun(const std::string& address, const std::string& peer) const;

 private:
  Handle space_;
};

}  // namespace entente::integration
