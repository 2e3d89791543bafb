// What a test and the library preloaded into one process (clock_shift.cpp) share: a small file that
// both map, with how far the process's wall clock is off. The monotonic clock is never touched.
#pragma once

#include <atomic>
#include <cstdint>

namespace entente::integration {

constexpr const char* kClockShiftPlan = "ENTENTE_CLOCK_SHIFT_PLAN";  // the shared file

struct ClockShiftPlan {
  std::atomic<std::int64_t> seconds;  // added to the time of day
};
static_assert(std::atomic<std::int64_t>::is_always_lock_free);

}  // namespace entente::integration
