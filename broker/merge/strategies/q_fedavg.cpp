#include "broker/merge/strategies/q_fedavg.h"

#include <algorithm>
#include <cmath>

#include "common/base/check.h"

namespace entente::broker {
namespace {

// A site on which the model is perfect has no say, and with q < 1 no derivative either. (The
// reference implementation adds the same amount.)
constexpr double kLossMin = 1e-10;

}  // namespace

Combination q_fedavg(std::span<const double> losses, std::span<const double> squared_norms,
                     const Fairness& fairness) {
  ENTENTE_CHECK(losses.size() == squared_norms.size() && fairness.lr > 0 && fairness.q >= 0);
  const double lipschitz = 1 / fairness.lr;
  Combination combination{{}, 0};
  for (std::size_t i = 0; i < losses.size(); ++i) {
    const double loss = losses[i] + kLossMin;
    const double weight = std::pow(loss, fairness.q) * lipschitz;
    combination.weights.push_back(weight);
    combination.divisor +=
        fairness.q * std::pow(loss, fairness.q - 1) * lipschitz * lipschitz * squared_norms[i] +
        weight;
  }
  return combination;
}

}  // namespace entente::broker
