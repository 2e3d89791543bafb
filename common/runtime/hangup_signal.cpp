#include "common/runtime/hangup_signal.h"

#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

namespace entente {

HangupSignal::HangupSignal() {
  sigset_t hangup;
  ::sigemptyset(&hangup);
  ::sigaddset(&hangup, SIGHUP);
  fd_ = ::signalfd(-1, &hangup, SFD_NONBLOCK | SFD_CLOEXEC);
  if (fd_ < 0) {
    throw std::system_error(errno, std::generic_category(), "signalfd");
  }
  ::pthread_sigmask(SIG_BLOCK, &hangup, &mask_before_);
}

HangupSignal::~HangupSignal() {
  (void)take();
  ::pthread_sigmask(SIG_SETMASK, &mask_before_, nullptr);
  ::close(fd_);
}

bool HangupSignal::take() {
  bool any = false;
  signalfd_siginfo info{};
  while (::read(fd_, &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
    any = true;
  }
  return any;
}

}  // namespace entente
