// A child process with a clean environment and, on request, pipes to its standard streams.
//
// The destructor kills (SIGKILL) and reaps a child that still runs: nobody is left behind. Children
// also get PR_SET_PDEATHSIG unless `outlives_parent`. Descriptors above 2 are not inherited,
// signals are back at their defaults.
//
// Linux ties PR_SET_PDEATHSIG to the *thread* that started the child: start children from a thread
// that lives as long as they may, or they are killed when it ends.
//
// Any thread may start a child; an object is used by one thread at a time. The process must not
// ignore SIGCHLD or reap children elsewhere.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace entente {

struct ChildOptions {
  std::filesystem::path program;                   // a path; PATH is not searched
  std::vector<std::string> arguments;              // without argv[0]
  std::map<std::string, std::string> environment;  // the whole environment of the child
  bool pipe_stdin = false;                         // otherwise /dev/null
  bool pipe_stdout = false;                        // otherwise the parent's, or log_file
  std::optional<std::filesystem::path> log_file;   // standard output and error are appended here
  bool outlives_parent = false;                    // a session of its own, not killed with us
};

// How a child ended, in words: "exited with code 3", "was killed by signal 9 (Killed)".
struct ExitStatus {
  int code = 0;    // exit code, or 0
  int signal = 0;  // signal number, or 0
  [[nodiscard]] bool success() const { return code == 0 && signal == 0; }
  [[nodiscard]] std::string to_string() const;
};

class ChildProcess {
 public:
  // Throws std::system_error when the program cannot be started (missing, not executable).
  explicit ChildProcess(const ChildOptions& options);
  ~ChildProcess();
  ChildProcess(ChildProcess&& other) noexcept;
  ChildProcess& operator=(ChildProcess&& other) noexcept;

  [[nodiscard]] pid_t pid() const { return pid_; }
  // Non-blocking ends of the pipes, or -1. Owned by this object.
  [[nodiscard]] int stdin_fd() const { return stdin_fd_; }
  [[nodiscard]] int stdout_fd() const { return stdout_fd_; }
  void close_stdin();

  // No effect once `poll` or `wait_for` has returned a status.
  void send_signal(int signal) const;
  // The status once the child has ended; nothing while it runs. Never blocks.
  [[nodiscard]] std::optional<ExitStatus> poll();
  // Waits up to `limit`; nothing when the child still runs then.
  [[nodiscard]] std::optional<ExitStatus> wait_for(std::chrono::milliseconds limit);
  // Lets the child live on after this object; returns its pid. Only with `outlives_parent`.
  pid_t release();

 private:
  void close_all();
  void kill_and_reap();
  pid_t pid_ = -1;
  int stdin_fd_ = -1;
  int stdout_fd_ = -1;
  bool outlives_parent_ = false;
  std::optional<ExitStatus> status_;
};

}  // namespace entente
