// The step from the merged update D to the next model: added as it is (FedAvg), or through one of
// the adaptive server optimisers, which remember something between rounds.
//
//   SCAFFOLD    Karimireddy et al. 2020, arXiv:1910.06378                           x += lr D
//   FedAvgM     Hsu et al. 2019, arXiv:1909.06335     m = beta1 m + D               x += lr m
//   FedAdagrad  Reddi et al. 2021, arXiv:2003.00295,  v = v + D^2
//   FedAdam     Algorithm 2, all three:               v = beta2 v + (1 - beta2) D^2
//   FedYogi     m = beta1 m + (1 - beta1) D           v = v - (1 - beta2) D^2 sign(v - D^2)
//               x += lr m / (sqrt(v) + tau)
//
// As in the paper there is no bias correction, m starts at 0 and v at tau^2. State is kept as
// float32 between rounds: what is stored is what the next round reads. Pure; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace entente::broker {

enum class ServerRule : std::uint8_t { add, scale, momentum, adagrad, adam, yogi };

struct ServerOptimizer {
  ServerRule rule = ServerRule::add;
  double lr = 1;
  double beta1 = 0;
  double beta2 = 0;
  double tau = 1;

  // How many values for each of the model's it remembers: none, m, or m and v.
  [[nodiscard]] std::size_t state_vectors() const {
    return rule <= ServerRule::scale ? 0 : rule == ServerRule::momentum ? 1 : 2;
  }
};

// One block, in place: `model` becomes the next one, `momentum` and `variance` the next state. The
// spans of state that the rule does not have are empty, the others as long as `model`.
void server_step(const ServerOptimizer& optimizer, std::span<const double> merged,
                 std::span<float> model, std::span<float> momentum, std::span<float> variance);

}  // namespace entente::broker
