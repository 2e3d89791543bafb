// What a connected site costs the broker while nothing happens.
#pragma once

#include <nlohmann/json_fwd.hpp>

namespace entente::bench {

// Connects `sites` sites that advertise and then keep silent. Returns the broker's anonymous memory
// per site in bytes, and its processor use over a while, as a share of one core.
[[nodiscard]] nlohmann::json measure_idle(int sites);

}  // namespace entente::bench
