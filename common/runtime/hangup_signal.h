// SIGHUP as a descriptor for poll loops: "read your configuration again". Make it in main before
// any thread starts, so that every thread inherits the blocked signal.
#pragma once

#include <csignal>

namespace entente {

class HangupSignal {
 public:
  HangupSignal();  // throws std::system_error when the process has no descriptor left
  ~HangupSignal();
  HangupSignal(const HangupSignal&) = delete;
  HangupSignal& operator=(const HangupSignal&) = delete;

  // Readable once a signal has come.
  [[nodiscard]] int fd() const { return fd_; }
  // Takes all that are pending: whether there were any.
  [[nodiscard]] bool take();

 private:
  int fd_;
  sigset_t mask_before_;
};

}  // namespace entente
