#include "broker/merge/strategies/fed_nova.h"

#include <cmath>

#include "common/base/check.h"

namespace entente::broker {

double step_norm(std::uint64_t steps, const LocalSolver& solver) {
  ENTENTE_CHECK(steps >= 1 && (solver.momentum == 0 || solver.prox_rate == 0));
  const auto tau = static_cast<double>(steps);
  if (const double rho = solver.momentum; rho > 0) {
    return (tau - rho * (1 - std::pow(rho, tau)) / (1 - rho)) / (1 - rho);
  }
  if (const double alpha = solver.prox_rate; alpha > 0) {
    // expm1 and log1p: a small alpha leaves tau and not the noise of 1 - (1 - alpha).
    return -std::expm1(tau * std::log1p(-alpha)) / alpha;
  }
  return tau;
}

Combination fed_nova(std::span<const double> weights, std::span<const std::uint64_t> steps,
                     const LocalSolver& solver) {
  ENTENTE_CHECK(weights.size() == steps.size());
  Combination combination{{}, 0};
  double total = 0;
  double effective = 0;  // tau_eff, times the total
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const double norm = step_norm(steps[i], solver);
    combination.weights.push_back(weights[i] / norm);
    total += weights[i];
    effective += weights[i] * (solver.prox_rate > 0 ? static_cast<double>(steps[i]) : norm);
  }
  combination.divisor = total / (effective / total);
  return combination;
}

}  // namespace entente::broker
