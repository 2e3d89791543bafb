#include "site-agent/training/optimizers.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "common/base/quote.h"

namespace entente::agent {
namespace {

using Optimizer = std::unique_ptr<torch::optim::Optimizer>;

struct Builder {
  std::string_view kind;
  Optimizer (*build)(const OptimizerSpec& spec, const std::vector<torch::Tensor>& parameters);
};

constexpr std::array kBuilders{
    Builder{
        "sgd",
        [](const OptimizerSpec& spec, const std::vector<torch::Tensor>& parameters) -> Optimizer {
          return std::make_unique<torch::optim::SGD>(parameters,
                                                     torch::optim::SGDOptions(spec.lr)
                                                         .momentum(spec.momentum)
                                                         .weight_decay(spec.weight_decay));
        }},
};

}  // namespace

Expected<std::unique_ptr<torch::optim::Optimizer>> make_optimizer(
    const OptimizerSpec& spec, const std::vector<torch::Tensor>& parameters) {
  const auto builder = std::find_if(kBuilders.begin(), kBuilders.end(),
                                    [&](const Builder& row) { return row.kind == spec.kind; });
  if (builder == kBuilders.end()) {
    return refuse("optimizer_unknown",
                  fmt::format("this trainer does not know the optimizer {}", quote(spec.kind)),
                  "update the site's Entente or choose another optimizer");
  }
  return builder->build(spec, parameters);
}

}  // namespace entente::agent
