#include "broker/core/usage.h"

#include <chrono>
#include <cmath>
#include <numbers>

namespace entente::broker {
namespace {

double seconds(Millis time) { return std::chrono::duration<double>(time).count(); }

}  // namespace

double usage_at(const Usage& usage, Monotonic now, Millis half_life) {
  const double h = seconds(half_life);
  const double fades_to = std::exp2(-seconds(now - usage.as_of) / h);
  return usage.row.site_seconds * fades_to + usage.slots * h / std::numbers::ln2 * (1 - fades_to);
}

void settle(Usage& usage, Monotonic now, Millis half_life) {
  usage.row.site_seconds = usage_at(usage, now, half_life);
  usage.as_of = now;
}

}  // namespace entente::broker
