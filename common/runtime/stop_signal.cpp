#include "common/runtime/stop_signal.h"

#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

namespace entente {

StopSignal::StopSignal() {
  sigset_t stops;
  ::sigemptyset(&stops);
  ::sigaddset(&stops, SIGTERM);
  ::sigaddset(&stops, SIGINT);
  fd_ = ::signalfd(-1, &stops, SFD_NONBLOCK | SFD_CLOEXEC);
  if (fd_ < 0) {
    throw std::system_error(errno, std::generic_category(), "signalfd");
  }
  ::pthread_sigmask(SIG_BLOCK, &stops, &mask_before_);
  std::signal(SIGPIPE, SIG_IGN);
}

void StopSignal::let_the_next_end_the_process() {
  sigset_t stops;
  ::sigemptyset(&stops);
  ::sigaddset(&stops, SIGTERM);
  ::sigaddset(&stops, SIGINT);
  ::pthread_sigmask(SIG_UNBLOCK, &stops, nullptr);
}

StopSignal::~StopSignal() {
  // What is still pending was meant for us: it must not hit the process once unblocked.
  while (take() != 0) {
  }
  ::pthread_sigmask(SIG_SETMASK, &mask_before_, nullptr);
  ::close(fd_);
}

int StopSignal::take() {
  signalfd_siginfo info{};
  const auto bytes = ::read(fd_, &info, sizeof info);
  return bytes == sizeof info ? static_cast<int>(info.ssi_signo) : 0;
}

}  // namespace entente
