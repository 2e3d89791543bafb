// Whole rounds with real processes: a broker, agents and echo trainers on this machine.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>

namespace entente::bench {

struct RoundSetup {
  int sites = 2;
  std::uint64_t model_bytes = 0;
  int rounds = 5;
};

// Runs one job and returns, per round after the first: wall seconds (median and worst), processor
// seconds of all processes, and the broker's largest anonymous memory in bytes.
[[nodiscard]] nlohmann::json measure_rounds(const RoundSetup& setup);

}  // namespace entente::bench
