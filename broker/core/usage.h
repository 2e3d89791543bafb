// What each coordinator has had of the consortium, in site-seconds: one slot of one site, held for
// one second. Use fades with a half-life, so that what somebody has had long ago no longer counts.
//
// It is charged while claims are held, whether the sites compute or wait: nobody else can have the
// slot. Time is the broker's own clock while it runs: a broker that is down charges and forgives
// nothing, and the wall clock may jump.
#pragma once

#include "broker/core/rows.h"
#include "common/base/time.h"

namespace entente::broker {

struct Usage {
  UsageRow row;  // as of `as_of`
  Monotonic as_of{};
  std::uint32_t slots = 0;  // held since then
  std::uint32_t jobs = 0;   // that hold any
};

// With c slots held, u site-seconds and half-life h, after t seconds:
//   u 2^(-t/h) + c h/ln 2 (1 - 2^(-t/h))
[[nodiscard]] double usage_at(const Usage& usage, Monotonic now, Millis half_life);

// Brings the row up to `now`: before `slots` changes, and before the row is saved.
void settle(Usage& usage, Monotonic now, Millis half_life);

}  // namespace entente::broker
