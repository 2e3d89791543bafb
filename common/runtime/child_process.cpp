#include "common/runtime/child_process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

#include "common/base/check.h"

namespace entente {
namespace {

using Clock = std::chrono::steady_clock;

[[noreturn]] void throw_errno(int error, const std::string& what) {
  throw std::system_error(error, std::generic_category(), what);
}

class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() { reset(); }
  Descriptor(Descriptor&& other) noexcept : fd_(other.release()) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    reset();
    fd_ = other.release();
    return *this;
  }

  [[nodiscard]] int get() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }
  void reset() {
    if (fd_ >= 0) {
      ::close(std::exchange(fd_, -1));
    }
  }

 private:
  int fd_ = -1;
};

// Above the standard streams even when this process runs with one of them closed: the child moves
// its streams to 0, 1 and 2 without overwriting one that it still needs.
Descriptor above_standard(Descriptor fd, const std::string& what) {
  if (fd.get() > STDERR_FILENO) {
    return fd;
  }
  Descriptor moved(::fcntl(fd.get(), F_DUPFD_CLOEXEC, STDERR_FILENO + 1));
  if (moved.get() < 0) {
    throw_errno(errno, what);
  }
  return moved;
}

Descriptor open_file(const std::filesystem::path& path, int flags) {
  Descriptor fd(::open(path.c_str(), flags | O_CLOEXEC, 0600));
  if (fd.get() < 0) {
    throw_errno(errno, fmt::format("cannot open {}", path.string()));
  }
  return above_standard(std::move(fd), path.string());
}

struct Pipe {
  Descriptor read_end;
  Descriptor write_end;
};

Pipe make_pipe() {
  std::array<int, 2> fds{};
  if (::pipe2(fds.data(), O_CLOEXEC) != 0) {
    throw_errno(errno, "pipe");
  }
  Descriptor read_end(fds[0]);
  Descriptor write_end(fds[1]);
  return {above_standard(std::move(read_end), "pipe"),
          above_standard(std::move(write_end), "pipe")};
}

void make_non_blocking(int fd) { ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK); }

// Keeps signals away between fork and exec: a handler of ours must not run in the child.
class SignalsBlocked {
 public:
  SignalsBlocked() {
    sigset_t all;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~SignalsBlocked() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;

 private:
  sigset_t before_{};
};

// All the child needs, made before fork: the other threads' locks (the heap's, say) are frozen in
// the child, so between fork and exec it may call async-signal-safe functions only.
struct Launch {
  const char* program;
  char* const* arguments;
  char* const* environment;
  std::array<int, 3> streams;  // what becomes 0, 1 and 2; -1: the parent's
  bool outlives_parent;
  pid_t parent;
  int failure_fd;  // takes the errno of a failed start, closes by itself at exec
  int descriptors_max;
};

[[noreturn]] void give_up(const Launch& launch) {
  const int error = errno;
  [[maybe_unused]] const auto written = ::write(launch.failure_fd, &error, sizeof error);
  ::_exit(127);
}

void reset_signals() {
  struct sigaction by_default {};
  by_default.sa_handler = SIG_DFL;
  for (int number = 1; number < NSIG; ++number) {
    ::sigaction(number, &by_default, nullptr);  // refused for SIGKILL and SIGSTOP, which is fine
  }
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

void close_the_rest_at_exec(const Launch& launch) {
  constexpr int first = STDERR_FILENO + 1;
  if (::close_range(first, ~0u, CLOSE_RANGE_CLOEXEC) == 0) {
    return;
  }
  // A kernel or a container filter without close_range.
  for (int fd = first; fd < launch.descriptors_max; ++fd) {
    ::fcntl(fd, F_SETFD, FD_CLOEXEC);
  }
}

[[noreturn]] void become_program(const Launch& launch) {
  reset_signals();
  if (launch.outlives_parent) {
    if (::setsid() < 0) {
      give_up(launch);
    }
  } else {
    if (::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) {
      give_up(launch);
    }
    if (::getppid() != launch.parent) {
      ::_exit(127);  // the parent ended before the line above took effect
    }
  }
  for (int stream = 0; stream < 3; ++stream) {
    const int source = launch.streams[static_cast<std::size_t>(stream)];
    if (source >= 0 && ::dup2(source, stream) < 0) {
      give_up(launch);
    }
  }
  close_the_rest_at_exec(launch);
  ::execve(launch.program, launch.arguments, launch.environment);
  give_up(launch);
}

std::vector<char*> pointers_to(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  pointers.reserve(texts.size() + 1);
  for (std::string& text : texts) {
    pointers.push_back(text.data());
  }
  pointers.push_back(nullptr);
  return pointers;
}

int descriptors_max() {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  return static_cast<int>(std::min<rlim_t>(limit.rlim_cur, 1 << 20));
}

// The errno that the child reported, or 0 when its exec closed the pipe.
int read_failure(int fd) {
  int error = 0;
  while (true) {
    const auto bytes = ::read(fd, &error, sizeof error);
    if (bytes < 0 && errno == EINTR) {
      continue;
    }
    return bytes == sizeof error ? error : 0;
  }
}

// Readable once the process has ended. Through syscall: the header of glibc 2.36 lacks extern "C".
Descriptor open_pidfd(pid_t pid) {
  return Descriptor(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
}

void wait_blocking(pid_t pid) {
  while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
  }
}

}  // namespace

std::string ExitStatus::to_string() const {
  if (signal != 0) {
    const char* name = ::sigdescr_np(signal);
    return fmt::format("was killed by signal {} ({})", signal, name != nullptr ? name : "unknown");
  }
  return fmt::format("exited with code {}", code);
}

ChildProcess::ChildProcess(const ChildOptions& options)
    : outlives_parent_(options.outlives_parent) {
  std::vector<std::string> arguments{options.program.string()};
  arguments.insert(arguments.end(), options.arguments.begin(), options.arguments.end());
  std::vector<std::string> environment;
  for (const auto& [key, value] : options.environment) {
    environment.push_back(key + '=' + value);
  }
  const auto argument_pointers = pointers_to(arguments);
  const auto environment_pointers = pointers_to(environment);

  Pipe failure = make_pipe();
  Pipe input;
  Pipe output;
  Descriptor log;
  if (options.pipe_stdin) {
    input = make_pipe();
    make_non_blocking(input.write_end.get());
  } else {
    input.read_end = open_file("/dev/null", O_RDONLY);
  }
  if (options.log_file) {
    log = open_file(*options.log_file, O_WRONLY | O_APPEND | O_CREAT);
  }
  if (options.pipe_stdout) {
    output = make_pipe();
    make_non_blocking(output.read_end.get());
  }
  const Launch launch{
      .program = arguments.front().c_str(),
      .arguments = argument_pointers.data(),
      .environment = environment_pointers.data(),
      .streams = {input.read_end.get(), options.pipe_stdout ? output.write_end.get() : log.get(),
                  log.get()},
      .outlives_parent = options.outlives_parent,
      .parent = ::getpid(),
      .failure_fd = failure.write_end.get(),
      .descriptors_max = descriptors_max()};

  {
    const SignalsBlocked blocked;
    pid_ = ::fork();
    if (pid_ == 0) {
      become_program(launch);
    }
  }
  if (pid_ < 0) {
    throw_errno(errno, fmt::format("cannot start {}: fork", arguments.front()));
  }
  failure.write_end.reset();
  if (const int error = read_failure(failure.read_end.get()); error != 0) {
    wait_blocking(pid_);
    throw_errno(error, fmt::format("cannot start {}", arguments.front()));
  }
  stdin_fd_ = input.write_end.release();
  stdout_fd_ = output.read_end.release();
}

ChildProcess::~ChildProcess() { kill_and_reap(); }

ChildProcess::ChildProcess(ChildProcess&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)),
      stdin_fd_(std::exchange(other.stdin_fd_, -1)),
      stdout_fd_(std::exchange(other.stdout_fd_, -1)),
      outlives_parent_(other.outlives_parent_),
      status_(std::exchange(other.status_, std::nullopt)) {}

ChildProcess& ChildProcess::operator=(ChildProcess&& other) noexcept {
  if (this != &other) {
    kill_and_reap();
    pid_ = std::exchange(other.pid_, -1);
    stdin_fd_ = std::exchange(other.stdin_fd_, -1);
    stdout_fd_ = std::exchange(other.stdout_fd_, -1);
    outlives_parent_ = other.outlives_parent_;
    status_ = std::exchange(other.status_, std::nullopt);
  }
  return *this;
}

void ChildProcess::close_stdin() {
  if (stdin_fd_ >= 0) {
    ::close(std::exchange(stdin_fd_, -1));
  }
}

void ChildProcess::send_signal(int signal) const {
  // Until it is reaped, the child keeps its pid: no other process can be hit.
  if (pid_ > 0 && !status_) {
    ::kill(pid_, signal);
  }
}

std::optional<ExitStatus> ChildProcess::poll() {
  if (status_ || pid_ < 0) {
    return status_;
  }
  int raw = 0;
  const pid_t ended = ::waitpid(pid_, &raw, WNOHANG);
  if (ended == 0) {
    return std::nullopt;
  }
  ENTENTE_CHECK(ended == pid_);  // nobody but us reaps it
  status_ = WIFSIGNALED(raw) ? ExitStatus{.code = 0, .signal = WTERMSIG(raw)}
                             : ExitStatus{.code = WEXITSTATUS(raw), .signal = 0};
  return status_;
}

std::optional<ExitStatus> ChildProcess::wait_for(std::chrono::milliseconds limit) {
  using std::chrono::milliseconds;
  const auto deadline = Clock::now() + limit;
  const Descriptor ended = pid_ > 0 && !status_ ? open_pidfd(pid_) : Descriptor();
  // Without pidfd_open (kernels before 5.3, some containers) the loop looks again in short steps.
  const milliseconds step = ended.get() >= 0 ? milliseconds(60'000) : milliseconds(10);
  while (true) {
    const auto status = poll();
    const auto left = std::chrono::ceil<milliseconds>(deadline - Clock::now());
    if (status || pid_ < 0 || left <= milliseconds(0)) {
      return status;
    }
    pollfd wait{.fd = ended.get(), .events = POLLIN, .revents = 0};
    ::poll(&wait, 1, static_cast<int>(std::min(left, step).count()));
  }
}

pid_t ChildProcess::release() {
  ENTENTE_CHECK(outlives_parent_);
  close_all();
  return std::exchange(pid_, -1);
}

void ChildProcess::close_all() {
  close_stdin();
  if (stdout_fd_ >= 0) {
    ::close(std::exchange(stdout_fd_, -1));
  }
}

void ChildProcess::kill_and_reap() {
  close_all();
  if (pid_ > 0 && !status_) {
    ::kill(pid_, SIGKILL);
    wait_blocking(pid_);
  }
  pid_ = -1;
}

}  // namespace entente
