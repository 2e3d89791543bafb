// Builds the LibTorch optimizer that a job names.
//
// To add one: its word in common/domain/job_spec.cpp and a row in optimizers.cpp.
#pragma once

#include <torch/torch.h>

#include <memory>
#include <vector>

#include "common/base/refusal.h"
#include "common/domain/job_spec.h"

namespace entente::agent {

// A fresh one for each round: momentum does not outlive a round, because the next one starts from
// another model. Refuses with "optimizer_unknown".
[[nodiscard]] Expected<std::unique_ptr<torch::optim::Optimizer>> make_optimizer(
    const OptimizerSpec& spec, const std::vector<torch::Tensor>& parameters);

}  // namespace entente::agent
