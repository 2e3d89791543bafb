// How long a coordinator waits for an answer while uploads keep the machine busy.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "tests/bench/rounds/round.h"

namespace entente::bench {

// Median and 99th percentile in seconds, of requests that commit nothing (list the sites) and of
// such that do (submit a job). `setup.rounds` is ignored: the job runs as long as it has to.
[[nodiscard]] nlohmann::json measure_control(RoundSetup setup);

}  // namespace entente::bench
