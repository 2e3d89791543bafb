// A dataset on the training device: all examples in one tensor, from which batches are picked.
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <span>

#include "site-agent/data/dataset.h"

namespace entente::agent {

class Examples {
 public:
  Examples(Dataset dataset, torch::Device device);

  struct Batch {
    torch::Tensor features;  // {count, shape...}: float32, or tokens as int64
    torch::Tensor labels;    // {count}, int64; or numbers to predict, {count, targets}, float32
  };

  [[nodiscard]] std::int64_t size() const { return labels_.size(0); }
  [[nodiscard]] torch::Device device() const { return device_; }
  // `indices` is an int64 tensor in host memory.
  [[nodiscard]] Batch pick(const torch::Tensor& indices) const;
  // Examples first to first + count, without a copy.
  [[nodiscard]] Batch slice(std::int64_t first, std::int64_t count) const;

 private:
  Dataset dataset_;  // owns what the tensors show when the device is the host
  torch::Device device_;
  torch::Tensor features_;
  torch::Tensor labels_;
};

}  // namespace entente::agent
