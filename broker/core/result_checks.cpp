#include "broker/core/result_checks.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <vector>

#include "common/domain/algorithms.h"
#include "common/domain/measures.h"
#include "common/domain/strategy_kinds.h"

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

}  // namespace

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

}  // namespace entente::broker
