// FedNova (Wang et al. 2020, "Tackling the Objective Inconsistency Problem in Heterogeneous
// Federated Optimization", arXiv:2007.07481, Section 4): sites that take more steps do not count
// for more.
//
//   x_i     an update, the sum of tau_i steps, each with the coefficient a_i,k and the rate lr
//   |a_i|   their sum: what one unit of gradient comes to over all steps
//   merged = tau_eff sum_i p_i x_i / |a_i|,    p_i = w_i / sum w
//
//   plain SGD     |a| = tau
//   momentum rho  |a| = (tau - rho (1 - rho^tau) / (1 - rho)) / (1 - rho)
//   FedProx       |a| = (1 - (1 - alpha)^tau) / alpha, alpha = lr mu
//
// tau_eff is sum_i p_i |a_i|, and with FedProx sum_i p_i tau_i, as in the authors' implementation:
// where all |a_i| are the same the first is FedAvg. Pure.
#pragma once

#include <cstdint>
#include <span>

#include "broker/merge/strategies/q_fedavg.h"

namespace entente::broker {

struct LocalSolver {
  double momentum = 0;   // 0 to below 1
  double prox_rate = 0;  // alpha, 0 to below 1; not both above 0
};

// |a| of so many steps, at least 1.
[[nodiscard]] double step_norm(std::uint64_t steps, const LocalSolver& solver);

// The factors for weighted_mean().
[[nodiscard]] Combination fed_nova(std::span<const double> weights,
                                   std::span<const std::uint64_t> steps, const LocalSolver& solver);

}  // namespace entente::broker
