// A model that can be trained: LibTorch modules built from a checked ModelSpec, with its parameters
// named, shaped and ordered as in the exchanged tensor layout.
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <filesystem>
#include <vector>

#include "common/base/refusal.h"
#include "common/domain/layers.h"
#include "common/tensors/safetensors.h"

namespace entente::agent {

class Model {
 public:
  // Refuses with "model_invalid".
  [[nodiscard]] static Expected<Model> build(ResolvedModel spec, torch::Device device);

  [[nodiscard]] const ResolvedModel& spec() const { return spec_; }

  // LibTorch's default initial values for `seed`.
  void initialize(std::uint64_t seed);

  // Takes over the values of `file`, which must hold exactly the layout's tensors, in any order.
  // Refuses with "layout_mismatch", and then changes nothing.
  [[nodiscard]] Expected<void> load(const TensorFile& file);

  // Both write float32 in the layout's order, and throw std::system_error when the disk fails.
  void save(const std::filesystem::path& output) const;
  // The update: these parameters minus those of `global`, which `load` has accepted before.
  void save_difference(const TensorFile& global, const std::filesystem::path& output) const;

  [[nodiscard]] bool is_finite() const;

  // {batch, ...} -> {batch, outputs}
  [[nodiscard]] torch::Tensor forward(const torch::Tensor& features);
  // Dropout and its like are active in training only.
  void set_training(bool training);
  [[nodiscard]] const std::vector<torch::Tensor>& parameters() const { return parameters_; }

 private:
  Model(ResolvedModel spec, torch::Device device) : spec_(std::move(spec)), device_(device) {}
  [[nodiscard]] Expected<void> build_modules();

  ResolvedModel spec_;
  torch::Device device_;
  torch::nn::Sequential modules_;
  std::vector<torch::Tensor> parameters_;  // in the layout's order
};

}  // namespace entente::agent
