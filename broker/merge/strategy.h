// From a job's strategy to arithmetic: what a rule needs to know of the whole updates is found out
// first, in passes over them (norms, distances, picks); what is left is a function of one block.
//
// The names and parameters are common/domain/strategy_kinds.h, the arithmetic
// broker/merge/strategies; this is the one place that knows both. Bits depend on the round alone,
// never on the sweep's threads.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "broker/merge/strategies/server_optimizer.h"
#include "broker/merge/strategies/sweep.h"
#include "broker/merge/strategies/update_values.h"
#include "common/base/refusal.h"
#include "common/domain/strategy_spec.h"

namespace entente::broker {

// The updates of one round and what their sites said of them, all by site id, and of a
// site in the order of its tasks.
struct Cohort {
  std::vector<const UpdateValues*> updates;
  std::vector<double> weights;
  std::vector<double> factors{};     // that a mean takes the updates by; empty: whole
  std::vector<double> losses;        // of the global model before training; for qfedavg, else empty
  std::vector<std::uint64_t> steps;  // of the sites' training; for fednova
  double local_lr = 0;               // of it likewise; for qfedavg and fednova
  double local_momentum = 0;
  double prox_mu = 0;
};

// Merges one block: `rows` are the same block of each of `updates` below.
using BlockRule = std::function<void(Rows rows, std::span<double> merged)>;

struct PreparedRule {
  std::vector<const UpdateValues*> updates;  // those that the rule reads: of the cohort, or some
  BlockRule merge;
};

// Runs the passes that the rule needs. `spec` has passed check_strategy(). Refuses with
// "outside_guarantee" when the rule promises nothing for so many updates with these weights.
[[nodiscard]] Expected<PreparedRule> prepare_rule(const StrategySpec& spec, const Cohort& cohort,
                                                  Sweep& sweep);

// What happens to the merged update at the broker.
[[nodiscard]] ServerOptimizer server_optimizer(const StrategySpec& spec);

}  // namespace entente::broker
