// How long to wait before another try: full jitter between limits::kBackoffMin and a cap that
// doubles with every failure in a row up to limits::kBackoffMax, so that a thousand sites do not
// return to a restarted broker in step. Source: M. Brooker, "Exponential Backoff And Jitter" (AWS
// Architecture Blog, 2015).
//
// Pure: the randomness is a seeded sequence (SplitMix64), which a test repeats.
#pragma once

#include <cstdint>

#include "common/base/time.h"

namespace entente::agent {

class Jitter {
 public:
  explicit Jitter(std::uint64_t seed) : state_(seed) {}
  // The next number in [0, bound), for bound > 0.
  [[nodiscard]] std::uint64_t below(std::uint64_t bound);

 private:
  std::uint64_t state_;
};

class Backoff {
 public:
  // The pause before the next try; counts one more failure.
  [[nodiscard]] Millis next(Jitter& jitter);
  void reset() { failures_ = 0; }

 private:
  std::uint32_t failures_ = 0;
};

}  // namespace entente::agent
