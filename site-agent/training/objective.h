// The loss that a job names, as LibTorch computes it.
#pragma once

#include <torch/torch.h>

#include "common/domain/job_spec.h"

namespace entente::agent {

class Objective {
 public:
  Objective(const TrainSpec& spec, torch::Device device);

  [[nodiscard]] Loss loss() const { return loss_; }

  // The mean over a batch. Outputs are {count, outputs}; labels are {count}, int64, or {count,
  // outputs}, float32.
  [[nodiscard]] torch::Tensor mean(const torch::Tensor& outputs, const torch::Tensor& labels) const;
  // What that mean divides by: so means of batches can be put together.
  [[nodiscard]] double weight(const torch::Tensor& labels) const;

 private:
  // What each example counts by, {count}; undefined without class weights.
  [[nodiscard]] torch::Tensor weights_of(const torch::Tensor& labels) const;

  Loss loss_;
  torch::Tensor class_weights_;  // undefined: all the same
};

}  // namespace entente::agent
