// The promise about evaluations, a part of P3: whatever sites have answered, and nothing else, is
// counted; and an evaluation that is over does not change.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "tests/simulation/broker_disk.h"

namespace entente::simulation {

// What is wrong with the row of a round that is about to be written; nothing when all is well.
[[nodiscard]] std::optional<std::string> fault_of_evaluation(const BrokerDisk& disk,
                                                             const broker::RoundRow& row);

// Answers without which that row may not say that its round is closed.
[[nodiscard]] std::size_t answers_needed(const BrokerDisk& disk, const broker::RoundRow& row,
                                         const broker::RoundRow* before);

// The same of the matrix of a job that has completed although nothing lasting went wrong at these
// sites: each has a row, unless its update was damaged and lost, and each row has all cells.
[[nodiscard]] std::optional<std::string> fault_of_matrix(
    const BrokerDisk& disk, const JobId& job, const std::vector<SiteId>& sites,
    const std::function<bool(const SiteId&)>& has_lost_an_update);

}  // namespace entente::simulation
