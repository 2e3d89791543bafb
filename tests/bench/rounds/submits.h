#pragma once

#include <nlohmann/json_fwd.hpp>

namespace entente::bench {

// So many coordinators' terminals at once, each of which submits a job as soon as its last one is
// acknowledged, which it is when it is durable. Every job waits in the queue.
struct SubmitSetup {
  int clients = 16;
  int jobs = 2000;
};

// Jobs per second, and how long each one took.
[[nodiscard]] nlohmann::json measure_submits(const SubmitSetup& setup);

}  // namespace entente::bench
