// The contract between an agent and a trainer: one JSON object per line, commands in on standard
// input, replies out on a private copy of standard output. Tensors travel as safetensors files in
// the job's work folder. docs/trainer-contract.md is the specification; this is its code, used by
// the agent and by the built-in trainer alike.
//
//   prepare     once per trainer: the job's spec and the site's datasets; checks the data contract
//   initialize  makes the initial model from a seed          -> writes `output`
//   train       local epochs from `model`                    -> writes the update to `output`
//   evaluate    metrics of `model` on the evaluation dataset
//   statistics  counts the dataset of a job of that kind
//   predict     what `model` says of the coordinator's `inputs` -> writes `output`
//   stop        ends the trainer
//
// A trainer answers each command with any number of `progress` and then one `result` or `error`,
// and handles one command at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "common/base/refusal.h"
#include "common/domain/job_spec.h"
#include "common/domain/task.h"
#include "site-agent/data/dataset_config.h"

namespace entente::agent::contract {

// Of the contract. A trainer that is asked for one that it does not speak says so with the code
// "contract_version_unsupported", and which it speaks.
constexpr std::uint32_t kVersion = 1;

// One line without its newline: a job's spec fits, a flood does not.
constexpr std::size_t kLineBytesMax = 1 << 20;

struct Prepare {
  std::uint32_t version = kVersion;
  // Of it the model, train and evaluate are sent, or statistics; the rest is the broker's business.
  JobSpec spec;
  DatasetConfig train_dataset;
  std::optional<DatasetConfig> evaluate_dataset;  // when the job evaluates and the site has it
  std::uint32_t threads = 1;
  std::string device = "cpu";  // "cpu", "cuda:N" or "auto"
  bool loss_before = false;    // results of `train` say the model's loss before training
  bool control = false;        // of SCAFFOLD: steps are corrected, and updates have a second part
};

struct Initialize {
  std::uint64_t seed = 0;
  std::string output;  // path of the model file to write
};

struct Train {
  std::uint32_t round = 0;
  std::uint64_t seed = 0;
  std::string model;        // path of the global model
  std::string output;       // path of the update (local - global) to write
  std::uint64_t steps = 0;  // of the optimizer, exactly; 0: as many as the local epochs come to
  // Paths; empty: there is none.
  std::string own{};         // what stays here, as it was written by an earlier round's training
  std::string own_output{};  // where to write it
  std::string control{};     // the server's control variate
};

struct Evaluate {
  std::string model;
  std::string own{};  // like that of Train
};

// Of a job of the kind "statistics": the first round, or the second when there are ranges.
struct Statistics {
  std::uint64_t cell_min = 1;  // rows behind every number of the result, at the least
  Sums ranges{};               // of each column of numbers
};

// Of a job of the kind "predict".
struct Predict {
  std::string model;
  std::string inputs;  // path of what the coordinator has brought
  std::string output;  // path of the outputs to write
  std::string own{};   // path of what another job has left at this site; empty: the model as it is
};

struct Stop {};

using CommandBody = std::variant<Prepare, Initialize, Train, Evaluate, Statistics, Predict, Stop>;

struct Command {
  std::uint64_t id = 0;  // returned in every reply
  CommandBody body;
};

struct Progress {
  std::uint64_t done = 0;
  std::uint64_t total = 0;
  std::string unit;  // "examples"
};

struct Result {
  std::uint64_t examples = 0;
  std::uint64_t steps = 0;
  Metrics metrics;
  Sums sums{};  // of an evaluation, from which its metrics follow; of statistics
};

// `transient`: the same command may succeed if tried again.
struct Error {
  std::string code;
  std::string message;
  bool transient = false;
};

using ReplyBody = std::variant<Progress, Result, Error>;

struct Reply {
  std::uint64_t id = 0;
  ReplyBody body;
};

// One line each, with the final newline.
[[nodiscard]] std::string encode(const Command& command);
[[nodiscard]] std::string encode(const Reply& reply);

// A line without its newline. Refuses with "contract_violated", and a `prepare` of another version
// with "contract_version_unsupported", whatever else it holds. Never throws on any input.
[[nodiscard]] Expected<Command> parse_command(std::string_view line);
[[nodiscard]] Expected<Reply> parse_reply(std::string_view line);

}  // namespace entente::agent::contract
