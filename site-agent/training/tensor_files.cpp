#include "site-agent/training/tensor_files.h"

#include <cstring>

#include "common/base/check.h"

namespace entente::agent {

torch::Tensor on_host(const torch::Tensor& tensor) {
  return tensor.detach().to(torch::kCPU).contiguous();
}

std::span<const float> values_of(const torch::Tensor& tensor) {
  return {tensor.data_ptr<float>(), static_cast<std::size_t>(tensor.numel())};
}

torch::Tensor tensor_of(std::span<const std::byte> bytes, const Shape& shape) {
  auto tensor = torch::empty(shape, torch::kFloat32);
  ENTENTE_CHECK(bytes.size() == static_cast<std::size_t>(tensor.numel()) * sizeof(float));
  std::memcpy(tensor.data_ptr<float>(), bytes.data(), bytes.size());
  return tensor;
}

NamedTensors::NamedTensors(const TensorFile& file) : file_(file) {
  const auto& tensors = file.layout().tensors;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    positions_[tensors[i].name] = i;
  }
}

std::optional<torch::Tensor> NamedTensors::find(std::string_view name, const Shape& shape) const {
  const auto found = positions_.find(name);
  if (found == positions_.end() || file_.layout().tensors[found->second].shape != shape) {
    return std::nullopt;
  }
  return tensor_of(file_.data(found->second), shape);
}

}  // namespace entente::agent
