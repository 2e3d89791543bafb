#include "site-agent/training/model.h"

#include <fmt/format.h>

#include <cstring>
#include <map>
#include <span>
#include <string>

#include "common/base/check.h"
#include "common/base/quote.h"
#include "site-agent/training/layers.h"

namespace entente::agent {
namespace {

// The one entry that readers of the Python library look for.
const TensorMetadata kMetadata{{"format", "pt"}};

torch::Tensor on_host(const torch::Tensor& parameter) {
  return parameter.detach().to(torch::kCPU).contiguous();
}

std::span<const float> values_of(const torch::Tensor& tensor) {
  return {tensor.data_ptr<float>(), static_cast<std::size_t>(tensor.numel())};
}

// Bytes of a file may be unaligned, so they are copied into a tensor of their own.
torch::Tensor tensor_of(std::span<const std::byte> bytes, const Shape& shape) {
  auto tensor = torch::empty(shape, torch::kFloat32);
  ENTENTE_CHECK(bytes.size() == static_cast<std::size_t>(tensor.numel()) * sizeof(float));
  std::memcpy(tensor.data_ptr<float>(), bytes.data(), bytes.size());
  return tensor;
}

std::map<std::string_view, std::size_t> positions_by_name(const TensorLayout& layout) {
  std::map<std::string_view, std::size_t> positions;
  for (std::size_t i = 0; i < layout.tensors.size(); ++i) {
    positions[layout.tensors[i].name] = i;
  }
  return positions;
}

}  // namespace

Expected<Model> Model::build(ResolvedModel spec, torch::Device device) {
  Model model(std::move(spec), device);
  if (auto built = model.build_modules(); !built) {
    return tl::unexpected(built.error());
  }
  return model;
}

Expected<void> Model::build_modules() {
  torch::nn::Sequential modules;
  for (const auto& layer : spec_.layers) {
    auto module = build_layer(layer);
    if (!module) {
      return tl::unexpected(module.error());
    }
    modules->push_back(layer.spec.name, std::move(*module));
  }
  modules->to(device_);
  const auto named = modules->named_parameters();
  const auto& tensors = spec_.layout.tensors;
  ENTENTE_CHECK(named.size() == tensors.size());
  parameters_.clear();
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    ENTENTE_CHECK(named[i].key() == tensors[i].name);
    ENTENTE_CHECK(named[i].value().sizes() == at::IntArrayRef(tensors[i].shape));
    parameters_.push_back(named[i].value());
  }
  modules_ = std::move(modules);
  return {};
}

void Model::initialize(std::uint64_t seed) {
  torch::manual_seed(seed);
  // A module draws its initial values when it is made, layer by layer.
  const auto rebuilt = build_modules();
  ENTENTE_CHECK(rebuilt.has_value());
}

Expected<void> Model::load(const TensorFile& file) {
  const auto mismatch = [](std::string message) {
    return refuse("layout_mismatch", std::move(message), "the model file is of another job",
                  Scope::task);
  };
  const auto& tensors = spec_.layout.tensors;
  if (file.layout().tensors.size() != tensors.size()) {
    return mismatch(fmt::format("the model file has {} tensors, the model {}",
                                file.layout().tensors.size(), tensors.size()));
  }
  const auto positions = positions_by_name(file.layout());
  for (const auto& tensor : tensors) {
    const auto found = positions.find(tensor.name);
    if (found == positions.end()) {
      return mismatch(fmt::format("the model file has no tensor {}", quote(tensor.name)));
    }
    const auto& shape = file.layout().tensors[found->second].shape;
    if (shape != tensor.shape) {
      return mismatch(fmt::format("tensor {} is {} in the model file, {} in the model",
                                  quote(tensor.name), to_string(shape), to_string(tensor.shape)));
    }
  }
  torch::NoGradGuard no_grad;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const auto bytes = file.data(positions.at(tensors[i].name));
    parameters_[i].copy_(tensor_of(bytes, tensors[i].shape));
  }
  return {};
}

void Model::save(const std::filesystem::path& output) const {
  TensorFileWriter writer(output, spec_.layout, kMetadata);
  for (const auto& parameter : parameters_) {
    writer.append(values_of(on_host(parameter)));
  }
  writer.close();
}

void Model::save_difference(const TensorFile& global, const std::filesystem::path& output) const {
  const auto& tensors = spec_.layout.tensors;
  const auto positions = positions_by_name(global.layout());
  TensorFileWriter writer(output, spec_.layout, kMetadata);
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const auto before = tensor_of(global.data(positions.at(tensors[i].name)), tensors[i].shape);
    const auto difference = on_host(parameters_[i]).sub(before);
    writer.append(values_of(difference));
  }
  writer.close();
}

bool Model::is_finite() const {
  return std::all_of(parameters_.begin(), parameters_.end(), [](const torch::Tensor& parameter) {
    return torch::isfinite(parameter).all().item<bool>();
  });
}

torch::Tensor Model::forward(const torch::Tensor& features) { return modules_->forward(features); }

void Model::set_training(bool training) { modules_->train(training); }

}  // namespace entente::agent
