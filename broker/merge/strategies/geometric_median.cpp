#include "broker/merge/strategies/geometric_median.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "broker/merge/strategies/distances.h"
#include "broker/merge/strategies/weighted_mean.h"
#include "common/base/check.h"

namespace entente::broker {
namespace {

// |v - x_i|^2 of every update, v being the mean that `factors` give.
std::vector<double> distances_to_mean(Updates updates, std::span<const double> factors,
                                      Sweep& sweep) {
  const double total = std::accumulate(factors.begin(), factors.end(), 0.0);
  return sweep.sum(updates.front()->size(), updates.size(),
                   [=](Range range, std::span<double> sums) {
                     std::array<double, kBlockValues> center;
                     for_each_block(updates, range, [&](Rows rows, std::size_t, std::size_t count) {
                       weighted_mean(rows, factors, total, std::span(center).first(count));
                       for (std::size_t i = 0; i < rows.size(); ++i) {
                         sums[i] += squared_distance(rows[i], center.data(), count);
                       }
                     });
                   });
}

}  // namespace

std::vector<double> geometric_median(Updates updates, std::span<const double> weights,
                                     const Smoothing& smoothing, Sweep& sweep) {
  ENTENTE_CHECK(updates.size() == weights.size() && smoothing.nu > 0);
  std::vector<double> factors(weights.begin(), weights.end());
  for (std::size_t iteration = 0; iteration < smoothing.iterations; ++iteration) {
    const auto squares = distances_to_mean(updates, factors, sweep);
    for (std::size_t i = 0; i < factors.size(); ++i) {
      factors[i] = weights[i] / std::max(smoothing.nu, std::sqrt(squares[i]));
    }
  }
  return factors;
}

}  // namespace entente::broker
