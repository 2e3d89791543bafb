// How good a job's models are, and whether it is time to stop: what [stop] in the job file asks.
//
//  - The evaluations count in the order of their rounds, whenever each of them has come in. So the
//    answer follows from the round rows alone, and is the same after a restart.
//  - An improvement is a score above the best one so far by more than `min_delta`. After `patience`
//    evaluations in a row without one the job completes; the round that has begun is given up.
//
// Pure.
#pragma once

#include <optional>
#include <string>

#include "broker/core/state.h"

namespace entente::broker {

// The round whose model was evaluated best; of equals the earlier.
[[nodiscard]] std::optional<Round> best_round(const Job& job);

// Why the job should stop now; nothing while it may still improve.
[[nodiscard]] std::optional<std::string> reason_to_stop(const Job& job);

}  // namespace entente::broker
