#include "broker/core/result_checks.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <vector>

#include "broker/core/kinds.h"
#include "broker/core/statistics.h"
#include "common/base/limits.h"
#include "common/domain/algorithms.h"
#include "common/domain/measures.h"
#include "common/domain/strategy_kinds.h"
#include "common/domain/update_encodings.h"

namespace entente::broker {
namespace {

// FedNova divides an update by its steps and multiplies all by what the steps come to: a number
// that does not follow from the job's epochs would do with the others' updates as it likes.
std::optional<Refusal> check_steps(const TrainSpec& train, const TaskResult& result) {
  const auto steps_max = steps_of_epochs(train, result.examples);
  if (result.steps >= 1 && result.steps <= std::max<std::uint64_t>(steps_max, 1)) {
    return std::nullopt;
  }
  return Refusal{"steps_invalid",
                 fmt::format("took {} steps; with {} examples the job's epochs come to {}",
                             result.steps, result.examples, steps_max),
                 "report the optimiser's steps in the result", Scope::task};
}

std::optional<Refusal> check_for_strategy(const JobSpec& spec, const TaskRow& task,
                                          const TaskResult& result) {
  const StrategySpec& strategy = spec.strategy;
  if (needs_steps(strategy) && task.steps == 0) {
    return check_steps(spec.train, result);
  }
  if (strategy.weights == Weighting::steps && result.steps == 0) {
    return Refusal{"steps_invalid", "took no step, and the job weighs updates by their steps",
                   "report the optimiser's steps in the result", Scope::task};
  }
  if (!needs_loss_before(strategy)) {
    return std::nullopt;
  }
  const auto loss = result.metrics.find(std::string(kLossBefore));
  if (loss == result.metrics.end() || !(loss->second >= 0)) {
    return Refusal{"loss_missing",
                   fmt::format("does not say what loss the model had before training ({}), which "
                               "qfedavg needs",
                               kLossBefore),
                   "docs/trainer-contract.md says how a trainer reports it", Scope::task};
  }
  return std::nullopt;
}

std::optional<Refusal> check_evaluation(const TaskResult& result) {
  if (result.metrics.empty()) {
    return Refusal{"result_invalid", "an evaluation without a single metric", "", Scope::task};
  }
  if (result.sums.empty()) {
    return std::nullopt;
  }
  const auto count = result.sums.find(std::string(sums::kCount));
  if (count == result.sums.end() ||
      count->second != std::vector<double>{static_cast<double>(result.examples)}) {
    return Refusal{
        "sums_invalid",
        fmt::format("its sums are not over the {} examples that it claims", result.examples),
        "docs/models.md says which sums there are", Scope::task};
  }
  return std::nullopt;
}

}  // namespace

const std::shared_ptr<const TensorLayout>& layout_of(const Job& job, TaskKind kind) {
  return is_merged(kind) ? job.update_layout : job.layout;
}

// An initial model is a model's file; only what training makes is encoded.
UpdateSpec update_spec(const JobSpec& spec, TaskKind kind) {
  return kind == TaskKind::train ? spec.update : UpdateSpec();
}

double norm_max(const JobSpec& spec, TaskKind kind) {
  const double asked = strategy_parameter(spec.strategy, kNormMax);
  return kind == TaskKind::train && asked > 0 ? asked : limits::kUpdateNormMax;
}

std::optional<Refusal> check_result(const Job& job, const TaskRow& task, const TaskResult& result) {
  const auto& key = task.key;
  if (result.examples == 0 || result.examples > limits::kExamplesMax) {
    if (key.kind != TaskKind::initialize) {
      return Refusal{"examples_invalid",
                     fmt::format("claims {} examples; 1 to {} are possible", result.examples,
                                 limits::kExamplesMax),
                     "", Scope::task};
    }
  }
  if (task.steps != 0 && result.steps != task.steps) {
    return Refusal{"steps_invalid",
                   fmt::format("took {} steps and was asked for {}", result.steps, task.steps),
                   "docs/trainer-contract.md says how a trainer is asked for steps", Scope::task};
  }
  if (key.kind == TaskKind::train) {
    if (auto refusal = check_for_strategy(job.spec(), task, result)) {
      return refusal;
    }
  }
  if (key.kind == TaskKind::statistics) {
    if (auto refusal = check_statistics(job, key.round, result)) {
      return refusal;
    }
  }
  const bool needs_blob = key.kind == TaskKind::initialize || is_merged(key.kind);
  if (needs_blob != result.blob.has_value()) {
    return Refusal{"result_invalid",
                   needs_blob ? "the result has no tensors"
                              : fmt::format("a task \"{}\" has no tensors", to_string(key.kind)),
                   "", Scope::task};
  }
  if (key.kind == TaskKind::evaluate) {
    if (auto refusal = check_evaluation(result)) {
      return refusal;
    }
  }
  const auto bytes_max =
      encoded_layout(*layout_of(job, key.kind), update_spec(job.spec(), key.kind)).bytes() +
      limits::kTensorHeaderBytesMax;
  if (result.blob_bytes > bytes_max) {
    return Refusal{"result_too_large",
                   fmt::format("{} bytes are more than this model's tensors can need ({})",
                               result.blob_bytes, bytes_max),
                   "", Scope::task};
  }
  return std::nullopt;
}

}  // namespace entente::broker
