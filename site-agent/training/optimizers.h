// Builds the LibTorch optimizer that a job names.
//
// To add one: a row in common/domain/optimizer_kinds.cpp and one in optimizers.cpp.
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "common/base/refusal.h"
#include "common/domain/job_spec.h"

namespace entente::agent {

// A fresh one for each round, with the round's learning rate: momentum does not outlive a round,
// because the next one starts from another model. Refuses with "job_invalid" or
// "optimizer_unknown".
[[nodiscard]] Expected<std::unique_ptr<torch::optim::Optimizer>> make_optimizer(
    const TrainSpec& spec, std::uint32_t round, const std::vector<torch::Tensor>& parameters);

}  // namespace entente::agent
