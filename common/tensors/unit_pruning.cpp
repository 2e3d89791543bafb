#include "common/tensors/unit_pruning.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <map>
#include <numeric>
#include <optional>
#include <string_view>

#include "common/domain/layers.h"

namespace entente {
namespace {

using Indices = std::vector<std::size_t>;

constexpr std::array<std::string_view, 13> kUnitByUnit{"relu",
                                                       "leaky_relu",
                                                       "elu",
                                                       "gelu",
                                                       "silu",
                                                       "tanh",
                                                       "sigmoid",
                                                       "dropout",
                                                       "max_pool2d",
                                                       "avg_pool2d",
                                                       "global_max_pool",
                                                       "global_avg_pool",
                                                       "batch_norm"};

bool is_one_of(std::string_view kind, std::span<const std::string_view> kinds) {
  return std::find(kinds.begin(), kinds.end(), kind) != kinds.end();
}

// Whether the layer computes units of its own from what it gets.
bool has_units(const ResolvedLayer& layer) {
  return layer.spec.kind == "conv2d" || (layer.spec.kind == "linear" && layer.input.size() == 1);
}

tl::unexpected<Refusal> unsuitable(std::string message) {
  return refuse("model_unsuitable", std::move(message),
                "--sparsity sets single weights of any model to zero", Scope::job);
}

Expected<void> check_layers(const std::vector<ResolvedLayer>& layers) {
  std::size_t with_units = 0;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const auto& layer = layers[i];
    with_units += has_units(layer) ? 1 : 0;
    if (!has_units(layer) && layer.spec.kind != "flatten" &&
        !is_one_of(layer.spec.kind, kUnitByUnit)) {
      return unsuitable(
          fmt::format("layer {} \"{}\" ({}): units cannot be taken away one by one "
                      "where it is on their way",
                      i + 1, layer.spec.kind, layer.spec.name));
    }
  }
  if (with_units < 2) {
    return unsuitable(
        "the model has no hidden layer of units: its one layer with weights is the last");
  }
  return {};
}

// Values of a tensor in the file, whose data may be unaligned.
class Tensors {
 public:
  explicit Tensors(const TensorFile& file) : file_(file) {
    const auto& tensors = file.layout().tensors;
    for (std::size_t i = 0; i < tensors.size(); ++i) {
      places_.emplace(tensors[i].name, i);
    }
  }

  [[nodiscard]] std::vector<float> values(const std::string& name) const {
    const auto bytes = file_.data(places_.at(name));
    std::vector<float> values(bytes.size() / sizeof(float));
    std::memcpy(values.data(), bytes.data(), bytes.size());
    return values;
  }

  // Refuses unless the file has these tensors and no other.
  [[nodiscard]] Expected<void> check(const TensorLayout& layout) const {
    bool fits = layout.tensors.size() == places_.size();
    for (const auto& tensor : layout.tensors) {
      const auto found = places_.find(tensor.name);
      fits = fits && found != places_.end() && file_.layout().tensors[found->second] == tensor;
    }
    if (!fits) {
      return refuse("layout_mismatch", "the file's tensors are not those of the model",
                    "name the job, or the job file, that the model file comes from", Scope::job);
    }
    return {};
  }

 private:
  const TensorFile& file_;
  std::map<std::string, std::size_t> places_;
};

Indices all_of(std::int64_t count) {
  Indices indices(static_cast<std::size_t>(count));
  std::iota(indices.begin(), indices.end(), 0);
  return indices;
}

// The units with the largest weights, in their order; of equal ones the first go.
Indices strongest(std::span<const float> weight, std::size_t units, double share) {
  const auto row = weight.size() / units;
  std::vector<double> sums(units);
  for (std::size_t unit = 0; unit < units; ++unit) {
    for (const float value : weight.subspan(unit * row, row)) {
      sums[unit] += std::abs(value);
    }
  }
  Indices order = all_of(static_cast<std::int64_t>(units));
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return sums[a] < sums[b]; });
  const auto gone =
      std::min(units - 1, static_cast<std::size_t>(std::floor(share * static_cast<double>(units))));
  Indices kept(order.begin() + static_cast<std::ptrdiff_t>(gone), order.end());
  std::sort(kept.begin(), kept.end());
  return kept;
}

// Of a tensor {units, inputs, ...} the kept units' values for the kept inputs; of one {units} the
// kept units' values.
std::vector<float> cut(std::span<const float> values, const Shape& shape, const Indices& units,
                       const Indices* inputs) {
  const auto rows = static_cast<std::size_t>(shape[0]);
  const auto columns = inputs == nullptr ? 1 : static_cast<std::size_t>(shape[1]);
  const auto cell = values.size() / (rows * columns);
  std::vector<float> kept;
  for (const auto unit : units) {
    for (std::size_t i = 0; i < (inputs == nullptr ? 1 : inputs->size()); ++i) {
      const auto input = inputs == nullptr ? 0 : (*inputs)[i];
      const auto begin = values.subspan((unit * columns + input) * cell, cell);
      kept.insert(kept.end(), begin.begin(), begin.end());
    }
  }
  return kept;
}

// Each channel's values, one after the other.
Indices flattened(const Indices& channels, const Shape& shape) {
  const auto size = static_cast<std::size_t>(
      std::accumulate(shape.begin() + 1, shape.end(), std::int64_t{1}, std::multiplies<>()));
  Indices features;
  for (const auto channel : channels) {
    for (std::size_t i = 0; i < size; ++i) {
      features.push_back(channel * size + i);
    }
  }
  return features;
}

// What is kept of a layer: units that it gets, and that it gives on.
struct Kept {
  Indices inputs;
  Indices outputs;
};

std::vector<Kept> choose(const std::vector<ResolvedLayer>& layers, const Tensors& tensors,
                         double share) {
  std::size_t last = 0;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    last = has_units(layers[i]) ? i : last;
  }
  std::vector<Kept> kept;
  Indices through = all_of(layers.front().input.front());
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const auto& layer = layers[i];
    Kept here{through, through};
    if (layer.spec.kind == "flatten") {
      here.outputs = flattened(through, layer.input);
    } else if (has_units(layer)) {
      const auto units = layer.output.front();
      here.outputs = i == last ? all_of(units)
                               : strongest(tensors.values(layer.spec.name + ".weight"),
                                           static_cast<std::size_t>(units), share);
    }
    through = here.outputs;
    kept.push_back(std::move(here));
  }
  return kept;
}

void set_if_given(LayerSpec& layer, const char* attribute, std::size_t value) {
  const auto found = layer.attributes.find(attribute);
  if (found != layer.attributes.end()) {
    found->second = static_cast<std::int64_t>(value);
  }
}

ModelSpec smaller(ModelSpec model, const std::vector<Kept>& kept) {
  for (std::size_t i = 0; i < model.layers.size(); ++i) {
    auto& layer = model.layers[i];
    for (const char* const gets : {"in_features", "in_channels"}) {
      set_if_given(layer, gets, kept[i].inputs.size());
    }
    for (const char* const gives : {"out_features", "out_channels"}) {
      set_if_given(layer, gives, kept[i].outputs.size());
    }
  }
  return model;
}

}  // namespace

Expected<UnitsPruned> prune_units(const TensorFile& from, const ModelSpec& model, double share,
                                  const std::filesystem::path& to) {
  // Written so that a NaN fails.
  if (!(share >= 0 && share < 1)) {
    return refuse("share_invalid",
                  fmt::format("a share of {} is not at least 0 and below 1", share),
                  "0.5 takes every other unit away");
  }
  const auto whole = resolve_model(model);
  if (!whole) {
    return tl::unexpected(whole.error());
  }
  if (auto suitable = check_layers(whole->layers); !suitable) {
    return tl::unexpected(suitable.error());
  }
  const Tensors tensors(from);
  if (auto fits = tensors.check(whole->layout); !fits) {
    return tl::unexpected(fits.error());
  }
  const auto kept = choose(whole->layers, tensors, share);
  UnitsPruned pruned;
  pruned.model = smaller(model, kept);
  const auto resolved = resolve_model(pruned.model);
  if (!resolved) {
    return tl::unexpected(resolved.error());
  }
  pruned.values = whole->layout.elements();
  pruned.values_kept = resolved->layout.elements();
  TensorFileWriter writer(to, resolved->layout, from.metadata());
  for (std::size_t i = 0; i < kept.size(); ++i) {
    const auto& layer = whole->layers[i];
    if (has_units(layer) &&
        kept[i].outputs.size() < static_cast<std::size_t>(layer.output.front())) {
      pruned.layers.push_back({layer.spec.name, static_cast<std::uint64_t>(layer.output.front()),
                               kept[i].outputs.size()});
    }
    for (const auto* list : {&layer.parameters, &layer.buffers}) {
      for (const auto& tensor : *list) {
        writer.append(cut(tensors.values(tensor.name), tensor.shape, kept[i].outputs,
                          tensor.shape.size() > 1 ? &kept[i].inputs : nullptr));
      }
    }
  }
  writer.close();
  return pruned;
}

}  // namespace entente
