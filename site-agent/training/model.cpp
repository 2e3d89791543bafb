#include "site-agent/training/model.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <set>
#include <span>
#include <string>

#include "common/base/check.h"
#include "common/base/quote.h"
#include "site-agent/training/tensor_files.h"

namespace entente::agent {
namespace {

// The one entry that readers of the Python library look for.
const TensorMetadata kMetadata{{"format", "pt"}};

// Parameters and floating-point buffers: what is exchanged.
std::map<std::string, torch::Tensor> tensors_by_name(const torch::nn::Module& module) {
  std::map<std::string, torch::Tensor> tensors;
  for (const auto& parameter : module.named_parameters()) {
    tensors.emplace(parameter.key(), parameter.value());
  }
  for (const auto& buffer : module.named_buffers()) {
    if (buffer.value().is_floating_point()) {
      tensors.emplace(buffer.key(), buffer.value());
    }
  }
  return tensors;
}

std::map<std::string_view, std::size_t> positions_by_name(const TensorLayout& layout) {
  std::map<std::string_view, std::size_t> positions;
  for (std::size_t i = 0; i < layout.tensors.size(); ++i) {
    positions[layout.tensors[i].name] = i;
  }
  return positions;
}

}  // namespace

Expected<Model> Model::build(ResolvedModel spec, torch::Device device, std::vector<bool> frozen) {
  frozen.resize(spec.layout.tensors.size());
  Model model(std::move(spec), device, std::move(frozen));
  if (auto built = model.build_modules(); !built) {
    return tl::unexpected(built.error());
  }
  return model;
}

Expected<void> Model::build_modules() {
  auto modules = build_layers(spec_.layers);
  if (!modules) {
    return tl::unexpected(modules.error());
  }
  modules_ = std::move(*modules);
  modules_->to(device_);
  auto named = tensors_by_name(*modules_);
  const auto& layout = spec_.layout.tensors;
  ENTENTE_CHECK(named.size() == layout.size());
  tensors_.clear();
  for (const auto& tensor : layout) {
    const auto found = named.find(tensor.name);
    ENTENTE_CHECK(found != named.end());
    ENTENTE_CHECK(found->second.sizes() == at::IntArrayRef(tensor.shape));
    tensors_.push_back(found->second);
  }
  freeze();
  return {};
}

void Model::freeze() {
  std::set<std::string> frozen;
  for (std::size_t i = 0; i < tensors_.size(); ++i) {
    if (frozen_[i]) {
      frozen.insert(spec_.layout.tensors[i].name);
      tensors_[i].set_requires_grad(false);
    }
  }
  frozen_modules_.clear();
  for (const auto& module : modules_->named_modules({}, /*include_self=*/false)) {
    const auto named = tensors_by_name(*module.value());
    const auto is_frozen = [&](const auto& tensor) {
      return frozen.contains(fmt::format("{}.{}", module.key(), tensor.first));
    };
    if (!named.empty() && std::all_of(named.begin(), named.end(), is_frozen)) {
      frozen_modules_.push_back(module.value());
    }
  }
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
    tensors_[i].copy_(tensor_of(bytes, tensors[i].shape));
    // An adaptive strategy may have moved a variance below 0, where its root is no number.
    if (tensors[i].name.ends_with(".running_var")) {
      tensors_[i].clamp_min_(0);
    }
  }
  return {};
}

void Model::save(const std::filesystem::path& output) const {
  TensorFileWriter writer(output, spec_.layout, kMetadata);
  for (const auto& tensor : tensors_) {
    writer.append(values_of(on_host(tensor)));
  }
  writer.close();
}

bool Model::is_finite() const {
  return std::all_of(tensors_.begin(), tensors_.end(), [](const torch::Tensor& tensor) {
    return torch::isfinite(tensor).all().item<bool>();
  });
}

torch::Tensor Model::forward(const torch::Tensor& features) { return modules_->forward(features); }

void Model::set_training(bool training) {
  modules_->train(training);
  for (const auto& module : frozen_modules_) {
    module->eval();
  }
}

std::vector<torch::Tensor> Model::trained() const {
  std::vector<torch::Tensor> trained;
  std::copy_if(tensors_.begin(), tensors_.end(), std::back_inserter(trained),
               [](const torch::Tensor& tensor) { return tensor.requires_grad(); });
  return trained;
}

}  // namespace entente::agent
