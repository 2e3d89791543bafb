// q-FedAvg (Li et al. 2020, "Fair Resource Allocation in Federated Learning", arXiv:1905.10497,
// Algorithm 2): sites on which the model does badly count for more.
//
//   L = 1 / lr;  F_i = the loss of the global model at site i before training;  x_i its update
//   merged = sum_i F_i^q L x_i / sum_i (q F_i^(q-1) L^2 |x_i|^2 + L F_i^q)
//
// q = 0 is the plain mean. The paper weighs sites by how often they are sampled; here all take
// part, so there are no weights. Pure.
#pragma once

#include <span>
#include <vector>

namespace entente::broker {

struct Fairness {
  double q = 1;   // >= 0
  double lr = 0;  // the sites' learning rate, > 0
};

struct Combination {
  std::vector<double> weights;
  double divisor = 1;
};

// The factors for weighted_mean(). `losses` are finite and >= 0; `squared_norms` are |x_i|^2.
[[nodiscard]] Combination q_fedavg(std::span<const double> losses,
                                   std::span<const double> squared_norms, const Fairness& fairness);

}  // namespace entente::broker
