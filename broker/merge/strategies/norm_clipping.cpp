#include "broker/merge/strategies/norm_clipping.h"

#include <algorithm>
#include <cmath>

#include "broker/merge/strategies/distances.h"
#include "common/base/check.h"

namespace entente::broker {

const float* ScaledValues::block(std::size_t start, std::size_t count, float* scratch) const {
  const float* const values = values_.block(start, count, scratch);
  if (factor_ == 1) {
    return values;
  }
  std::transform(values, values + count, scratch,
                 [this](float value) { return static_cast<float>(factor_ * double{value}); });
  return scratch;
}

std::vector<double> clipping_factors(Updates updates, double norm_max, Sweep& sweep) {
  ENTENTE_CHECK(norm_max > 0);
  auto factors = squared_norms(updates, sweep);
  for (double& factor : factors) {
    const double norm = std::sqrt(factor);
    factor = norm > norm_max ? norm_max / norm : 1;
  }
  return factors;
}

}  // namespace entente::broker
