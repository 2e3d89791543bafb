#include "common/tensors/norm_guard.h"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <cstddef>

#include "common/base/quote.h"

namespace entente {

double sum_of_squares(std::span<const float> values) {
  constexpr std::size_t kLanes = 8;
  std::array<double, kLanes> sums{};
  const std::size_t whole = values.size() - values.size() % kLanes;
  for (std::size_t i = 0; i < whole; i += kLanes) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      const double value = values[i + lane];
      sums[lane] += value * value;
    }
  }
  for (std::size_t i = whole; i < values.size(); ++i) {
    sums[i - whole] += double{values[i]} * values[i];
  }
  return ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
}

Expected<void> NormGuard::add(const TensorInfo& tensor, double squares) {
  if (!std::isfinite(squares)) {
    return refuse("not_finite",
                  fmt::format("tensor {} holds a value that is not finite", quote(tensor.name)),
                  "training has diverged; try a smaller learning rate", Scope::site);
  }
  sum_ += squares;
  return {};
}

Expected<TensorCheck> NormGuard::finish() const {
  const double norm = std::sqrt(sum_);
  if (!(norm <= l2_norm_max_)) {
    return refuse("norm_too_large",
                  fmt::format("the L2 norm of the tensors is {:.6g}, at most {:.6g} is accepted",
                              norm, l2_norm_max_),
                  "training has diverged; try a smaller learning rate", Scope::site);
  }
  return TensorCheck{.l2_norm = norm};
}

}  // namespace entente
