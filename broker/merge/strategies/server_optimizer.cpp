#include "broker/merge/strategies/server_optimizer.h"

#include <cmath>

#include "common/base/check.h"

namespace entente::broker {
namespace {

double next_variance(const ServerOptimizer& optimizer, double variance, double square) {
  switch (optimizer.rule) {
    case ServerRule::adagrad:
      return variance + square;
    case ServerRule::adam:
      return optimizer.beta2 * variance + (1 - optimizer.beta2) * square;
    case ServerRule::yogi: {
      const double step = (1 - optimizer.beta2) * square;
      return variance > square ? variance - step : variance < square ? variance + step : variance;
    }
    case ServerRule::add:
    case ServerRule::scale:
    case ServerRule::momentum:
      break;
  }
  return variance;
}

void add(std::span<const double> merged, std::span<float> model) {
  for (std::size_t i = 0; i < model.size(); ++i) {
    model[i] = static_cast<float>(double{model[i]} + merged[i]);
  }
}

void add_scaled(double lr, std::span<const double> merged, std::span<float> model) {
  for (std::size_t i = 0; i < model.size(); ++i) {
    model[i] = static_cast<float>(double{model[i]} + lr * merged[i]);
  }
}

void step_with_momentum(const ServerOptimizer& optimizer, std::span<const double> merged,
                        std::span<float> model, std::span<float> momentum) {
  for (std::size_t i = 0; i < model.size(); ++i) {
    momentum[i] = static_cast<float>(optimizer.beta1 * double{momentum[i]} + merged[i]);
    model[i] = static_cast<float>(double{model[i]} + optimizer.lr * double{momentum[i]});
  }
}

void step_adaptively(const ServerOptimizer& optimizer, std::span<const double> merged,
                     std::span<float> model, std::span<float> momentum, std::span<float> variance) {
  for (std::size_t i = 0; i < model.size(); ++i) {
    momentum[i] = static_cast<float>(optimizer.beta1 * double{momentum[i]} +
                                     (1 - optimizer.beta1) * merged[i]);
    variance[i] =
        static_cast<float>(next_variance(optimizer, double{variance[i]}, merged[i] * merged[i]));
    model[i] =
        static_cast<float>(double{model[i]} + optimizer.lr * double{momentum[i]} /
                                                  (std::sqrt(double{variance[i]}) + optimizer.tau));
  }
}

}  // namespace

void server_step(const ServerOptimizer& optimizer, std::span<const double> merged,
                 std::span<float> model, std::span<float> momentum, std::span<float> variance) {
  ENTENTE_CHECK(merged.size() == model.size());
  ENTENTE_CHECK(momentum.size() == (optimizer.state_vectors() > 0 ? model.size() : 0));
  ENTENTE_CHECK(variance.size() == (optimizer.state_vectors() > 1 ? model.size() : 0));
  switch (optimizer.rule) {
    case ServerRule::add:
      add(merged, model);
      return;
    case ServerRule::scale:
      add_scaled(optimizer.lr, merged, model);
      return;
    case ServerRule::momentum:
      step_with_momentum(optimizer, merged, model, momentum);
      return;
    case ServerRule::adagrad:
    case ServerRule::adam:
    case ServerRule::yogi:
      step_adaptively(optimizer, merged, model, momentum, variance);
      return;
  }
}

}  // namespace entente::broker
