#include "common/runtime/child_process.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>

#include "common/runtime/stop_signal.h"

namespace entente {
namespace {

namespace fs = std::filesystem;
constexpr std::chrono::seconds kLimit{20};

ChildOptions shell(const std::string& script) {
  ChildOptions options;
  options.program = "/bin/sh";
  options.arguments = {"-c", script};
  options.environment = {{"PATH", "/usr/bin:/bin"}};
  return options;
}

// Everything until the other end closes.
std::string read_all(int fd) {
  std::string text;
  while (true) {
    pollfd wait{.fd = fd, .events = POLLIN, .revents = 0};
    if (::poll(&wait, 1, std::chrono::milliseconds(kLimit).count()) <= 0) {
      throw std::runtime_error("nothing to read within the limit");
    }
    char buffer[4096];
    const auto bytes = ::read(fd, buffer, sizeof buffer);
    if (bytes <= 0) {
      return text;
    }
    text.append(buffer, static_cast<std::size_t>(bytes));
  }
}

std::string output_of(ChildOptions options) {
  options.pipe_stdout = true;
  ChildProcess child(options);
  std::string text = read_all(child.stdout_fd());
  EXPECT_TRUE(child.wait_for(kLimit));
  return text;
}

bool exists(pid_t pid) { return ::kill(pid, 0) == 0; }

TEST(ExitStatus, IsToldInWords) {
  EXPECT_EQ((ExitStatus{.code = 3, .signal = 0}).to_string(), "exited with code 3");
  EXPECT_EQ((ExitStatus{.code = 0, .signal = 9}).to_string(), "was killed by signal 9 (Killed)");
}

TEST(ChildProcess, ReportsTheExitCode) {
  ChildProcess child(shell("exit 3"));
  const auto status = child.wait_for(kLimit);
  ASSERT_TRUE(status);
  EXPECT_EQ(status->code, 3);
  EXPECT_FALSE(status->success());
  EXPECT_EQ(child.poll()->code, 3);
}

TEST(ChildProcess, ReportsTheSignal) {
  ChildProcess child(shell("kill -TERM $$"));
  const auto status = child.wait_for(kLimit);
  ASSERT_TRUE(status);
  EXPECT_EQ(status->signal, SIGTERM);
}

TEST(ChildProcess, ConnectsThePipes) {
  ChildOptions options;
  options.program = "/bin/cat";
  options.pipe_stdin = true;
  options.pipe_stdout = true;
  ChildProcess child(options);
  ASSERT_EQ(::write(child.stdin_fd(), "hello", 5), 5);
  child.close_stdin();
  EXPECT_EQ(read_all(child.stdout_fd()), "hello");
  EXPECT_TRUE(child.wait_for(kLimit)->success());
}

TEST(ChildProcess, HasExactlyTheEnvironmentGiven) {
  ChildOptions options;
  options.program = "/usr/bin/env";
  options.environment = {{"ONE", "1"}, {"TWO", "two words"}};
  EXPECT_EQ(output_of(options), "ONE=1\nTWO=two words\n");
}

TEST(ChildProcess, ReadsNothingWithoutAStdinPipe) {
  EXPECT_EQ(output_of(shell("cat; echo end")), "end\n");
}

TEST(ChildProcess, InheritsNoDescriptorAboveTwo) {
  const int secret = ::open("/dev/null", O_RDONLY);  // without O_CLOEXEC, as a library might
  ASSERT_GT(secret, 2);
  const std::string script =
      "test -e /proc/self/fd/" + std::to_string(secret) + " && echo inherited || echo clean";
  EXPECT_EQ(output_of(shell(script)), "clean\n");
  ::close(secret);
}

TEST(ChildProcess, AppendsBothStreamsToTheLogFile) {
  const fs::path log =
      fs::temp_directory_path() / ("entente-child-" + std::to_string(::getpid()) + ".log");
  for (int run = 0; run < 2; ++run) {
    ChildOptions options = shell("echo out; echo err >&2");
    options.log_file = log;
    ChildProcess child(options);
    ASSERT_TRUE(child.wait_for(kLimit)->success());
  }
  std::ifstream file(log);
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(file), {}), "out\nerr\nout\nerr\n");
  fs::remove(log);
}

TEST(ChildProcess, ThrowsTheReasonWhenTheProgramCannotStart) {
  ChildOptions missing;
  missing.program = "/nonexistent/program";
  try {
    ChildProcess child(missing);
    FAIL() << "started";
  } catch (const std::system_error& failure) {
    EXPECT_EQ(failure.code().value(), ENOENT);
    EXPECT_NE(std::string(failure.what()).find("/nonexistent/program"), std::string::npos);
  }
  ChildOptions not_executable;
  not_executable.program = "/etc/passwd";
  EXPECT_THROW(ChildProcess{not_executable}, std::system_error);
}

TEST(ChildProcess, IsKilledAndReapedByTheDestructor) {
  pid_t pid = 0;
  {
    ChildProcess child(shell("exec sleep 600"));
    pid = child.pid();
    ASSERT_TRUE(exists(pid));
    EXPECT_FALSE(child.poll());
  }
  EXPECT_FALSE(exists(pid));
}

TEST(ChildProcess, WaitsNoLongerThanItsLimit) {
  ChildProcess child(shell("exec sleep 600"));
  EXPECT_FALSE(child.wait_for(std::chrono::milliseconds(20)));
  child.send_signal(SIGKILL);
  EXPECT_EQ(child.wait_for(kLimit)->signal, SIGKILL);
}

TEST(ChildProcess, MovesItsChildAlong) {
  ChildProcess first(shell("exec sleep 600"));
  const pid_t pid = first.pid();
  ChildProcess second(shell("exec sleep 600"));
  const pid_t replaced = second.pid();
  second = std::move(first);
  EXPECT_EQ(second.pid(), pid);
  EXPECT_TRUE(exists(pid));
  EXPECT_FALSE(exists(replaced));
}

TEST(ChildProcess, StartsWithDefaultSignalsAlthoughTheParentBlocksThem) {
  const StopSignal stop;
  ChildProcess child(shell("exec sleep 600"));
  child.send_signal(SIGTERM);
  EXPECT_EQ(child.wait_for(kLimit)->signal, SIGTERM);
  EXPECT_EQ(output_of(shell("grep -c '^SigIgn:.*[^0:[:space:]]' /proc/self/status")), "0\n");
}

TEST(ChildProcess, LivesOnInItsOwnSessionWhenReleased) {
  ChildOptions options = shell("exec sleep 600");
  options.outlives_parent = true;
  pid_t pid = 0;
  {
    ChildProcess child(options);
    pid = child.release();
  }
  EXPECT_TRUE(exists(pid));
  EXPECT_EQ(::getsid(pid), pid);
  ::kill(pid, SIGKILL);
  ::waitpid(pid, nullptr, 0);
}

TEST(ChildProcess, DiesWithTheThreadThatStartedIt) {
  std::optional<ChildProcess> child;
  std::thread([&child] { child.emplace(shell("exec sleep 600")); }).join();
  const auto status = child->wait_for(kLimit);
  ASSERT_TRUE(status);
  EXPECT_EQ(status->signal, SIGKILL);
}

TEST(ChildProcess, StartsFromManyThreadsAtOnce) {
  std::vector<std::thread> threads;
  std::vector<int> codes(4, -1);
  for (std::size_t i = 0; i < codes.size(); ++i) {
    threads.emplace_back([i, &codes] {
      for (int run = 0; run < 10; ++run) {
        ChildProcess child(shell("exit " + std::to_string(i)));
        codes[i] = child.wait_for(kLimit)->code;
      }
    });
  }
  for (auto& thread : threads) {
    thread.join();
  }
  EXPECT_EQ(codes, (std::vector<int>{0, 1, 2, 3}));
}

}  // namespace
}  // namespace entente
