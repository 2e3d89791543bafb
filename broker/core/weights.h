// What each accepted update counts by in the merge, and with it in the model's receipt.
#pragma once

#include <vector>

#include "broker/core/rows.h"
#include "common/domain/strategy_spec.h"

namespace entente::broker {

// The weights of the updates in `done`, in their order, all above 0: as the job's strategy says,
// and none with a larger share of the sum than its weight_cap, as far as so many updates allow.
[[nodiscard]] std::vector<double> merge_weights(const StrategySpec& strategy,
                                                const std::vector<const TaskRow*>& done);

// Lowers what is above `cap` times the sum of the result; needs cap * weights.size() >= 1.
[[nodiscard]] std::vector<double> cap_shares(std::vector<double> weights, double cap);

}  // namespace entente::broker
