// The promise about evaluations, a part of P3: whatever sites have answered, and nothing else, is
// counted; and an evaluation that is over does not change.
#pragma once

#include <optional>
#include <string>

#include "tests/simulation/broker_disk.h"

namespace entente::simulation {

// What is wrong with the row of a round that is about to be written; nothing when all is well.
[[nodiscard]] std::optional<std::string> fault_of_evaluation(const BrokerDisk& disk,
                                                             const broker::RoundRow& row);

}  // namespace entente::simulation
