#include "site-agent/training/optimizers.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "common/base/quote.h"

namespace entente::agent {
namespace {

using Optimizer = std::unique_ptr<torch::optim::Optimizer>;

using Parameters = std::vector<torch::Tensor>;

// Of a spec whose options are filled in, with the round's learning rate.
struct Builder {
  std::string_view kind;
  Optimizer (*build)(const OptimizerSpec& spec, const Parameters& parameters);
};

template <class Adam, class Options>
Optimizer adam(const OptimizerSpec& spec, const Parameters& parameters) {
  return std::make_unique<Adam>(
      parameters, Options(spec.lr)
                      .betas({number_in(spec.options, "beta1"), number_in(spec.options, "beta2")})
                      .eps(number_in(spec.options, "eps"))
                      .weight_decay(spec.weight_decay)
                      .amsgrad(boolean_in(spec.options, "amsgrad")));
}

constexpr std::array kBuilders{
    Builder{"sgd",
            [](const OptimizerSpec& spec, const Parameters& parameters) -> Optimizer {
              return std::make_unique<torch::optim::SGD>(
                  parameters, torch::optim::SGDOptions(spec.lr)
                                  .momentum(spec.momentum)
                                  .weight_decay(spec.weight_decay)
                                  .nesterov(boolean_in(spec.options, "nesterov")));
            }},
    Builder{"adam", adam<torch::optim::Adam, torch::optim::AdamOptions>},
    Builder{"adamw", adam<torch::optim::AdamW, torch::optim::AdamWOptions>},
    Builder{"rmsprop",
            [](const OptimizerSpec& spec, const Parameters& parameters) -> Optimizer {
              return std::make_unique<torch::optim::RMSprop>(
                  parameters, torch::optim::RMSpropOptions(spec.lr)
                                  .alpha(number_in(spec.options, "alpha"))
                                  .eps(number_in(spec.options, "eps"))
                                  .weight_decay(spec.weight_decay)
                                  .momentum(spec.momentum)
                                  .centered(boolean_in(spec.options, "centered")));
            }},
    Builder{"adagrad",
            [](const OptimizerSpec& spec, const Parameters& parameters) -> Optimizer {
              return std::make_unique<torch::optim::Adagrad>(
                  parameters, torch::optim::AdagradOptions(spec.lr)
                                  .lr_decay(number_in(spec.options, "lr_decay"))
                                  .eps(number_in(spec.options, "eps"))
                                  .weight_decay(spec.weight_decay));
            }},
};

}  // namespace

Expected<std::unique_ptr<torch::optim::Optimizer>> make_optimizer(const TrainSpec& spec,
                                                                  std::uint32_t round,
                                                                  const Parameters& parameters) {
  const auto builder = std::find_if(kBuilders.begin(), kBuilders.end(), [&](const Builder& row) {
    return row.kind == spec.optimizer.kind;
  });
  if (builder == kBuilders.end()) {
    return refuse(
        "optimizer_unknown",
        fmt::format("this trainer does not know the optimizer {}", quote(spec.optimizer.kind)),
        "update the site's Entente or choose another optimizer");
  }
  auto optimizer = resolve_optimizer(spec.optimizer);
  if (!optimizer) {
    return tl::unexpected(optimizer.error());
  }
  if (auto schedule = check_schedule(spec.schedule); !schedule) {
    return tl::unexpected(schedule.error());
  }
  optimizer->lr = spec.learning_rate(round);
  return builder->build(*optimizer, parameters);
}

}  // namespace entente::agent
