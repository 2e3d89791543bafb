// Time as the cores see it: passed in, never read.
//
// `Monotonic` orders and measures; it starts anywhere, never goes back, and means nothing to
// another process or after a restart. `UnixMillis` is wall-clock time for records and people;
// decisions never depend on it.
#pragma once

#include <chrono>
#include <cstdint>

namespace entente {

using Millis = std::chrono::milliseconds;
using Monotonic = std::chrono::time_point<std::chrono::steady_clock, Millis>;
using UnixMillis = std::int64_t;

struct Now {
  Monotonic monotonic{};
  UnixMillis unix_ms = 0;
};

}  // namespace entente
