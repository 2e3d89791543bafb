// The promise about jobs that count, a part of P3: a round that is done says exactly what the sites
// have said that answered in it, computed here in another way.
#pragma once

#include <optional>
#include <string>

#include "tests/simulation/broker_disk.h"

namespace entente::simulation {

// What is wrong with the row of a round that is about to be written; nothing when all is well.
[[nodiscard]] std::optional<std::string> fault_of_counting(const BrokerDisk& disk,
                                                           const broker::RoundRow& row);

}  // namespace entente::simulation
