// The only place that reads a clock; cores get `Now` passed in.
#pragma once

#include <string>

#include "common/base/time.h"

namespace entente {

[[nodiscard]] Now system_now();

// "2026-01-31T12:00:00Z"
[[nodiscard]] std::string format_utc(UnixMillis unix_ms);

}  // namespace entente
