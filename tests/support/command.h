// A program that a test runs to its end, with what it said and how it ended.
#pragma once

#include <chrono>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "common/runtime/child_process.h"
#include "tests/support/wait.h"

namespace entente::integration {

struct Outcome {
  int code = 0;     // exit code; -1 when a signal ended it
  std::string out;  // standard output
  std::string err;  // standard error
};

// One that runs beside the test. The destructor kills it.
class Command {
 public:
  // Standard error goes to `error_file`, which must not exist.
  Command(const std::filesystem::path& program, std::vector<std::string> arguments,
          std::map<std::string, std::string> environment, std::filesystem::path error_file);

  // What it has printed so far on standard output.
  [[nodiscard]] const std::string& output();
  [[nodiscard]] std::string errors() const;
  // Waits for its end. Throws std::runtime_error when it is not over in time.
  [[nodiscard]] Outcome finish(std::chrono::milliseconds limit = kPatience);

 private:
  // False at the end of the stream.
  bool read_output();
  ChildProcess child_;
  std::filesystem::path error_file_;
  std::string output_;
};

}  // namespace entente::integration
