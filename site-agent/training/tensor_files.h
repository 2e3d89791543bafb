// Tensors of LibTorch out of and into safetensors files, by name.
#pragma once

#include <torch/torch.h>

#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "common/domain/model_spec.h"
#include "common/tensors/safetensors.h"

namespace entente::agent {

// On the host, in one piece, without a history of gradients.
[[nodiscard]] torch::Tensor on_host(const torch::Tensor& tensor);

// Of a tensor that is on_host().
[[nodiscard]] std::span<const float> values_of(const torch::Tensor& tensor);

// Bytes of a file may be unaligned, so they are copied into a tensor of their own.
[[nodiscard]] torch::Tensor tensor_of(std::span<const std::byte> bytes, const Shape& shape);

// A file's tensors by their names. The file must outlive it.
class NamedTensors {
 public:
  explicit NamedTensors(const TensorFile& file);
  // Nothing when the file has none of that name and shape.
  [[nodiscard]] std::optional<torch::Tensor> find(std::string_view name, const Shape& shape) const;

 private:
  const TensorFile& file_;
  std::map<std::string_view, std::size_t> positions_;
};

}  // namespace entente::agent
