// The geometric median by the smoothed Weiszfeld algorithm: RFA (Pillutla et al. 2019,
// arXiv:1912.13445, Algorithm 2).
//
//   v = weighted mean; then `iterations` times:
//   b_i = w_i / max(nu, |v - x_i|),  v = sum_i b_i x_i / sum_i b_i
//
// Robust while the bad updates have less than half of the weight. v is a combination of the updates
// at all times, so only its factors are kept, and one block of v at a time is formed from them: one
// pass over the updates for each iteration. Pure.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "broker/merge/strategies/sweep.h"

namespace entente::broker {

struct Smoothing {
  std::size_t iterations = 3;
  double nu = 1e-6;  // > 0
};

// The factors b_i of the last iteration: the result is their weighted mean.
[[nodiscard]] std::vector<double> geometric_median(Updates updates, std::span<const double> weights,
                                                   const Smoothing& smoothing, Sweep& sweep);

}  // namespace entente::broker
