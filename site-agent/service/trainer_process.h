// One trainer: a child process that speaks the trainer contract (site-agent/contract) over pipes.
//
//  - It gets a clean environment: its threads are the slot's, whatever the agent's own are.
//  - Its standard error goes to a log file at the site and nowhere else.
//  - Its stream is bounded and checked; whatever breaks the contract ends the process.
//
// Never blocks; the agent's loop polls the descriptors. The destructor kills and reaps the process.
#pragma once

#include <cstdint>
#include <deque>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "common/domain/task.h"
#include "common/runtime/child_process.h"
#include "site-agent/contract/contract.h"

namespace entente::agent {

struct TrainerLaunch {
  std::filesystem::path program;
  std::filesystem::path work_folder;  // exists
  std::filesystem::path log_file;     // its folder exists
  std::uint32_t threads = 1;
};

class TrainerProcess {
 public:
  // Throws std::system_error when the program cannot be started.
  explicit TrainerProcess(const TrainerLaunch& launch);

  // Queues the command and writes what the pipe takes. One command at a time.
  void command(contract::CommandBody body);

  struct Heard {
    std::vector<contract::ReplyBody> replies;
    std::optional<TaskFailure> gone;   // why it is over; after the replies
    std::optional<ExitStatus> exit{};  // of a process that has ended by itself
  };
  // Reads what is there. After `gone` the process is dead and the object of no more use.
  [[nodiscard]] Heard read();
  // Writes more of a queued command.
  void write();
  // No further command: a trainer ends at the end of its input.
  void close_stdin() { child_.close_stdin(); }

  [[nodiscard]] int stdout_fd() const { return child_.stdout_fd(); }
  [[nodiscard]] int stdin_fd() const { return child_.stdin_fd(); }
  [[nodiscard]] bool wants_to_write() const { return !outgoing_.empty(); }

 private:
  [[nodiscard]] std::optional<TaskFailure> take_lines(Heard& heard);
  [[nodiscard]] TaskFailure violation(const std::string& what);
  [[nodiscard]] TaskFailure death(Heard& heard);

  ChildProcess child_;
  std::string log_name_;
  std::string incoming_;  // the beginning of a line
  std::string outgoing_;
  std::uint64_t last_id_ = 0;
  bool answer_due_ = false;
};

}  // namespace entente::agent
