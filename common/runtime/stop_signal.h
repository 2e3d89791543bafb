// SIGTERM and SIGINT as a descriptor for poll loops. Make it in main before any thread starts, so
// that every thread inherits the blocked signals.
//
// It also ignores SIGPIPE: in a process with peers, one that leaves is an error code of a write,
// never a reason to die. A ChildProcess starts with all signals back at their defaults.
#pragma once

#include <csignal>

namespace entente {

class StopSignal {
 public:
  StopSignal();  // throws std::system_error when the process has no descriptor left
  ~StopSignal();
  StopSignal(const StopSignal&) = delete;
  StopSignal& operator=(const StopSignal&) = delete;

  // Readable once a stop was asked for.
  [[nodiscard]] int fd() const { return fd_; }
  // Takes one pending signal, if there is one: returns its number or 0.
  [[nodiscard]] int take();
  // From now on the next SIGTERM or SIGINT ends the process at once: for the loop that has taken
  // one and now stops in order. Only on the thread that made this object.
  void let_the_next_end_the_process();

 private:
  int fd_;
  sigset_t mask_before_;
};

}  // namespace entente
