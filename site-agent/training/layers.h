// Builds LibTorch modules from what common/domain/layers.h has checked and completed.
//
// To add a layer: a row in the domain's table of its group and a builder here, in layers.cpp.
#pragma once

#include <torch/torch.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/domain/layers.h"

namespace entente::agent {

// What one layer computes, and the module that owns its tensors; null when it has none and computes
// the same in training and in evaluation.
struct BuiltLayer {
  std::shared_ptr<torch::nn::Module> module;
  std::function<torch::Tensor(const torch::Tensor&)> forward;
};

// Layers one after the other. Their modules are registered under the layers' names, so that tensors
// are called as in the exchanged layout.
class Chain : public torch::nn::Module {
 public:
  void append(const std::string& name, BuiltLayer layer);
  [[nodiscard]] torch::Tensor forward(torch::Tensor values) const;

 private:
  std::vector<std::function<torch::Tensor(const torch::Tensor&)>> steps_;
};

// Parameters carry LibTorch's default initial values, drawn from the global generator. Refuses with
// "model_invalid" a kind that this trainer has no builder for.
[[nodiscard]] Expected<std::shared_ptr<Chain>> build_layers(
    const std::vector<ResolvedLayer>& layers);

}  // namespace entente::agent
