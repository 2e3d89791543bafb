#include "tests/support/command.h"

#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <stdexcept>

#include "tests/support/temp_folder.h"

namespace entente::integration {
namespace {

ChildOptions options_for(const std::filesystem::path& program, std::vector<std::string> arguments,
                         std::map<std::string, std::string> environment,
                         const std::filesystem::path& error_file) {
  ChildOptions options;
  options.program = program;
  options.arguments = std::move(arguments);
  options.environment = std::move(environment);
  options.pipe_stdout = true;
  options.log_file = error_file;
  return options;
}

}  // namespace

Command::Command(const std::filesystem::path& program, std::vector<std::string> arguments,
                 std::map<std::string, std::string> environment, std::filesystem::path error_file)
    : child_(options_for(program, std::move(arguments), std::move(environment), error_file)),
      error_file_(std::move(error_file)) {}

bool Command::read_output() {
  std::array<char, 4096> part;
  while (true) {
    const auto got = ::read(child_.stdout_fd(), part.data(), part.size());
    if (got > 0) {
      output_.append(part.data(), static_cast<std::size_t>(got));
    } else if (got == 0) {
      return false;
    } else if (errno != EINTR) {
      return true;
    }
  }
}

const std::string& Command::output() {
  read_output();
  return output_;
}

std::string Command::errors() const { return read_text(error_file_); }

Outcome Command::finish(std::chrono::milliseconds limit) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  while (read_output()) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0) {
      throw std::runtime_error("a command does not end; so far it said\n" + output_ + errors());
    }
    pollfd ready{child_.stdout_fd(), POLLIN, 0};
    ::poll(&ready, 1, static_cast<int>(left.count()));
  }
  const auto status = child_.wait_for(limit);
  if (!status) {
    throw std::runtime_error("a command closed its output and does not end");
  }
  return {status->signal == 0 ? status->code : -1, output_, errors()};
}

}  // namespace entente::integration
