// A task: one piece of a job's work at one site. Its key is the idempotency key of every message
// that changes something (rule 2 of ARCHITECTURE.md).
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/blob_id.h"
#include "common/base/ids.h"
#include "common/base/refusal.h"

namespace entente {

enum class TaskKind : std::uint8_t {
  initialize,  // make the initial model from the seed; result: a model
  train,       // local epochs on private data; result: an update (local - global)
  evaluate,    // metrics of a model on a dataset; result: no blob
  statistics,  // sums over a dataset, without a model; result: no blob
  predict,     // what a model says of the coordinator's inputs; result: outputs
};

[[nodiscard]] std::string_view to_string(TaskKind kind);
[[nodiscard]] std::optional<TaskKind> parse_task_kind(std::string_view text);

struct TaskKey {
  JobId job;
  Round round = 0;
  TaskKind kind = TaskKind::train;
  SiteId site;
  Attempt attempt = 1;

  auto operator<=>(const TaskKey&) const = default;
};

// Numbers over a task's examples, by name, that add up over sites: what metrics follow from
// (measures.h), or statistics (statistics.h).
using Sums = std::map<std::string, std::vector<double>>;

// What the site is asked to do. The job's spec travelled with the job offer.
struct TaskOrder {
  TaskKey key;
  std::uint64_t seed = 0;       // H(spec seed, round, site); see seeds.h
  std::optional<BlobId> model;  // the global model to start from or to evaluate
  std::uint64_t model_bytes = 0;
  std::uint32_t cohort = 0;  // sites that a round merges, at most; 0: not said
  std::uint64_t steps = 0;   // optimiser steps to take; 0: those of the job's epochs
  Sums ranges{};             // of statistics, in the second round: of each column (statistics.h)
  // The server's control variate, which SCAFFOLD's sites correct their steps by; none: it is 0.
  std::optional<BlobId> control{};
  std::uint64_t control_bytes = 0;
  std::optional<BlobId> inputs{};  // of predictions
  std::uint64_t inputs_bytes = 0;

  bool operator==(const TaskOrder&) const = default;
};

// "loss", "accuracy": averages over the task's examples.
using Metrics = std::map<std::string, double>;

struct TaskResult {
  std::optional<BlobId> blob;  // the update or the initial model
  std::uint64_t blob_bytes = 0;
  std::uint64_t examples = 0;
  std::uint64_t steps = 0;  // optimiser steps taken
  Metrics metrics;
  Sums sums{};  // of an evaluation, and of statistics

  bool operator==(const TaskResult&) const = default;
};

// Why a task ended without a result. `transient` means that the same task may succeed if tried
// again (a killed trainer), as opposed to never (labels out of range).
struct TaskFailure {
  Refusal reason;
  bool transient = false;

  bool operator==(const TaskFailure&) const = default;
};

struct TaskProgress {
  std::uint64_t done = 0;
  std::uint64_t total = 0;
  std::string unit;  // "examples", "bytes up", "bytes down"

  bool operator==(const TaskProgress&) const = default;
};

}  // namespace entente
