// What all commands of `entente` share: their common options, exit codes, and the shape of what
// they print.
//
// Results go to standard output, errors to standard error. With --json both are one JSON object;
// otherwise an error is two lines, `error: ...` with the thing and the cause, `hint: ...` with the
// next step.
#pragma once

#include <filesystem>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/refusal.h"

namespace entente::cli {

enum class ExitCode : int {
  done = 0,
  refused = 1,         // the answer is no, or it failed on the way
  usage = 2,           // the command line itself is wrong
  unreachable = 3,     // no answer from the broker
  not_authorised = 4,  // the other side does not accept who we are, or we it
};

struct Options {
  bool json = false;
  std::filesystem::path kit;
};

// What the command line asked for. Parsing chooses it, `main` runs it.
using Action = std::function<ExitCode()>;

[[nodiscard]] ExitCode exit_code_for(const Refusal& refusal);

// Prints to standard error and returns the exit code that fits.
ExitCode print_refusal(const Options& options, const Refusal& refusal);

// Prints a result to standard output.
void print_json(const nlohmann::json& result);

// Label and value.
using Field = std::pair<std::string_view, std::string>;
// The fields a line each, indented, their values in one column, also when a value has several
// lines; fields without a value are left out.
void print_fields(const std::vector<Field>& fields);

}  // namespace entente::cli
