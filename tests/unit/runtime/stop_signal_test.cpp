#include "common/runtime/stop_signal.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>

namespace entente {
namespace {

bool readable(int fd) {
  pollfd wait{.fd = fd, .events = POLLIN, .revents = 0};
  return ::poll(&wait, 1, 0) == 1;
}

TEST(StopSignal, TurnsSignalsIntoAReadableDescriptor) {
  StopSignal stop;
  EXPECT_FALSE(readable(stop.fd()));
  EXPECT_EQ(stop.take(), 0);
  ::raise(SIGTERM);
  EXPECT_TRUE(readable(stop.fd()));
  EXPECT_EQ(stop.take(), SIGTERM);
  ::raise(SIGINT);
  EXPECT_EQ(stop.take(), SIGINT);
  EXPECT_FALSE(readable(stop.fd()));
}

TEST(StopSignal, TakesPendingSignalsAlongWhenItEnds) {
  {
    const StopSignal stop;
    ::raise(SIGTERM);
  }
  sigset_t pending;
  ::sigpending(&pending);
  EXPECT_EQ(::sigismember(&pending, SIGTERM), 0);
}

TEST(StopSignal, LetsTheSecondOneEndTheProcess) {
  EXPECT_EXIT(
      {
        StopSignal stop;
        ::raise(SIGTERM);
        if (stop.take() == SIGTERM) {
          stop.let_the_next_end_the_process();
          ::raise(SIGINT);
        }
      },
      testing::KilledBySignal(SIGINT), "");
}

TEST(StopSignal, MakesABrokenPipeAnErrorCode) {
  const StopSignal stop;
  int fds[2];
  ASSERT_EQ(::pipe(fds), 0);
  ::close(fds[0]);
  EXPECT_EQ(::write(fds[1], "x", 1), -1);
  EXPECT_EQ(errno, EPIPE);
  ::close(fds[1]);
}

}  // namespace
}  // namespace entente
