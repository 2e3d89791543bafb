// A model that can be trained: LibTorch modules built from a checked ModelSpec, with its tensors
// named, shaped and ordered as in the exchanged layout.
//
// Integer buffers stay here (the batches that a batch_norm has seen); floating ones, its running
// statistics, are exchanged like parameters. What is frozen is never changed by training.
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <vector>

#include "common/base/refusal.h"
#include "common/domain/layers.h"
#include "common/tensors/safetensors.h"
#include "site-agent/training/layers.h"

namespace entente::agent {

class Model {
 public:
  // `frozen` says of each tensor of the layout whether it is; empty: none is. Refuses with
  // "model_invalid".
  [[nodiscard]] static Expected<Model> build(ResolvedModel spec, torch::Device device,
                                             std::vector<bool> frozen = {});

  [[nodiscard]] const ResolvedModel& spec() const { return spec_; }

  // LibTorch's default initial values for `seed`.
  void initialize(std::uint64_t seed);

  // Takes over the values of `file`, which must hold exactly the layout's tensors, in any order.
  // Refuses with "layout_mismatch", and then changes nothing.
  [[nodiscard]] Expected<void> load(const TensorFile& file);

  // Writes float32 in the layout's order, and throws std::system_error when the disk fails.
  void save(const std::filesystem::path& output) const;

  [[nodiscard]] bool is_finite() const;

  // {batch, ...} -> {batch, outputs}
  [[nodiscard]] torch::Tensor forward(const torch::Tensor& features);
  // Dropout and its like are active in training only, and never in modules that are frozen as a
  // whole.
  void set_training(bool training);

  // In the layout's order.
  [[nodiscard]] const std::vector<torch::Tensor>& tensors() const { return tensors_; }
  // Tensor `index` of the layout.
  [[nodiscard]] bool is_frozen(std::size_t index) const { return frozen_[index]; }
  // Those that an optimizer moves.
  [[nodiscard]] std::vector<torch::Tensor> trained() const;

 private:
  Model(ResolvedModel spec, torch::Device device, std::vector<bool> frozen)
      : spec_(std::move(spec)), device_(device), frozen_(std::move(frozen)) {}
  [[nodiscard]] Expected<void> build_modules();
  void freeze();

  ResolvedModel spec_;
  torch::Device device_;
  std::vector<bool> frozen_;
  std::shared_ptr<Chain> modules_;
  std::vector<torch::Tensor> tensors_;
  std::vector<std::shared_ptr<torch::nn::Module>> frozen_modules_;
};

}  // namespace entente::agent
