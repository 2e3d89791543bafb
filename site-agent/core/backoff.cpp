#include "site-agent/core/backoff.h"

#include <algorithm>

#include "common/base/check.h"
#include "common/base/limits.h"

namespace entente::agent {

std::uint64_t Jitter::below(std::uint64_t bound) {
  ENTENTE_CHECK(bound > 0);
  state_ += 0x9e3779b97f4a7c15;
  std::uint64_t z = state_;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return (z ^ (z >> 31)) % bound;
}

Millis Backoff::next(Jitter& jitter) {
  constexpr Millis kMin = limits::kBackoffMin;
  constexpr Millis kMax = limits::kBackoffMax;
  constexpr std::uint32_t kDoublingsMax = 16;  // far beyond kMax, far below an overflow
  failures_ = std::min(failures_ + 1, kDoublingsMax);
  const Millis cap = std::min(kMax, kMin * (std::int64_t{1} << failures_));
  const auto span = static_cast<std::uint64_t>((cap - kMin).count()) + 1;
  return kMin + Millis(static_cast<std::int64_t>(jitter.below(span)));
}

}  // namespace entente::agent
