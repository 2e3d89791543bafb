// A job that has to survive the deaths of a site's agent and of the broker.
#pragma once

#include <string>

#include "tests/support/consortium.h"
#include "tests/support/job_file.h"

namespace entente::integration {

// Runs a job of at least three rounds that trains at "north", and returns its id once it has ended.
// The agent of "north" dies while it trains round 2; in round 3 the broker dies before the finished
// update can leave, and the agent once more. Holds trainers: of one consortium, one at a time.
[[nodiscard]] std::string end_though_killed(Consortium& consortium, const JobFile& file);

}  // namespace entente::integration
