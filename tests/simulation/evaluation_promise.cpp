#include "tests/simulation/evaluation_promise.h"

#include <fmt/format.h>

#include "common/domain/measures.h"
#include "tests/simulation/fake_training.h"

namespace entente::simulation {

std::optional<std::string> fault_of_evaluation(const BrokerDisk& disk,
                                               const broker::RoundRow& row) {
  if (!row.evaluated) {
    return std::nullopt;
  }
  const auto before = disk.rounds.find({row.job, row.round});
  if (before != disk.rounds.end() && before->second.evaluated) {
    return before->second.evaluate_metrics == row.evaluate_metrics
               ? std::nullopt
               : std::optional(
                     fmt::format("P3 {} round {} is evaluated twice", row.job.str(), row.round));
  }
  const auto done = disk.done(row.job, row.round, TaskKind::evaluate);
  Sums together;
  for (const auto* task : done) {
    if (!add(together, evaluation_sums(task->key.site, row.round))) {
      return fmt::format("P3 {} round {}: sums that do not add up", row.job.str(), row.round);
    }
  }
  if (row.evaluated_at == done.size() && row.evaluate_metrics == metrics_from(together)) {
    return std::nullopt;
  }
  return fmt::format("P3 {} round {} is evaluated at {} sites, and {} have answered", row.job.str(),
                     row.round, row.evaluated_at, done.size());
}

}  // namespace entente::simulation
