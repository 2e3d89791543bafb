#include "common/runtime/system_clock.h"

#include <fmt/format.h>

#include <chrono>
#include <ctime>

namespace entente {

Now system_now() {
  using std::chrono::time_point_cast;
  const auto wall = time_point_cast<Millis>(std::chrono::system_clock::now());
  return Now{.monotonic = time_point_cast<Millis>(std::chrono::steady_clock::now()),
             .unix_ms = wall.time_since_epoch().count()};
}

std::string format_utc(UnixMillis unix_ms) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(Millis(unix_ms)).count();
  const std::time_t time = seconds;
  std::tm utc{};
  ::gmtime_r(&time, &utc);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", utc.tm_year + 1900, utc.tm_mon + 1,
                     utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec);
}

}  // namespace entente
