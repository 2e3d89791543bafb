#include "common/domain/layers.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "common/base/limits.h"
#include "common/base/nearest.h"
#include "common/base/quote.h"
#include "common/domain/layer_kinds.h"

namespace entente {
namespace {

constexpr std::size_t kLayerNameBytesMax = 63;

// Of a block's layers: the last part of the name of its shortcut.
constexpr std::string_view kShortcut = "shortcut";

bool is_layer_name(std::string_view text) {
  const auto is_letter = [](char c) { return c >= 'a' && c <= 'z'; };
  return !text.empty() && text.size() <= kLayerNameBytesMax && is_letter(text.front()) &&
         std::all_of(text.begin(), text.end(), [&](char c) {
           return is_letter(c) || (c >= '0' && c <= '9') || c == '_' || c == '-';
         });
}

// Nothing unless all dimensions are positive and their product is within what a model may have:
// then later arithmetic on them cannot overflow.
std::optional<std::uint64_t> bounded_elements(const Shape& shape) {
  const bool positive =
      std::all_of(shape.begin(), shape.end(), [](std::int64_t d) { return d >= 1; });
  const auto elements = TensorInfo{{}, shape}.elements();
  return positive && elements <= limits::kModelParametersMax ? std::optional(elements)
                                                             : std::nullopt;
}

// The layers of one list have names that differ.
class Names {
 public:
  // Sets the default and keeps the name.
  std::optional<LayerFault> give(LayerSpec& spec) {
    ++position_;
    const auto number = ++of_kind_[spec.kind];
    if (spec.name.empty()) {
      spec.name = fmt::format("{}{}", spec.kind, number);
    }
    if (!is_layer_name(spec.name)) {
      return LayerFault{fmt::format("{} is not a legal layer name", quote(spec.name)),
                        fmt::format("use 1 to {} of a-z, 0-9, _ and -, starting with a letter",
                                    kLayerNameBytesMax)};
    }
    const auto [earlier, is_first] = position_of_.emplace(spec.name, position_);
    if (!is_first) {
      return LayerFault{
          fmt::format("layer {} is called \"{}\" as well", earlier->second, spec.name),
          "give one of the two another name"};
    }
    return std::nullopt;
  }

 private:
  std::size_t position_ = 0;
  std::map<std::string, std::size_t> of_kind_;
  std::map<std::string, std::size_t> position_of_;
};

std::string describe(std::size_t position, const LayerSpec& spec) {
  const auto name = spec.name.empty() || !is_layer_name(spec.name)
                        ? std::string()
                        : fmt::format(" ({})", spec.name);
  return fmt::format("layer {} {}{}", position, quote(spec.kind), name);
}

// Resolves list by list; remembers the tensors so far.
class Resolver {
 public:
  // The layers of one list, whose tensors' names begin with `prefix`; `output` is what the list
  // takes, and afterwards what it gives. The cause of a fault names the layer first.
  std::optional<LayerFault> add_list(const std::vector<LayerSpec>& specs, const std::string& prefix,
                                     std::size_t depth, Shape& output,
                                     std::vector<ResolvedLayer>& layers) {
    Names names;
    for (const auto& spec : specs) {
      ResolvedLayer layer;
      layer.spec = {spec.kind, spec.name, spec.attributes};
      layer.input = output;
      if (auto wrong = add(spec, names, prefix, depth, layer)) {
        wrong->cause = fmt::format("{}: {}", describe(layers.size() + 1, spec), wrong->cause);
        return wrong;
      }
      output = layer.output;
      layers.push_back(std::move(layer));
    }
    return std::nullopt;
  }

  [[nodiscard]] TensorLayout& layout() { return layout_; }
  [[nodiscard]] std::uint64_t buffer_elements() const { return buffer_elements_; }

 private:
  std::optional<LayerFault> add(const LayerSpec& spec, Names& names, const std::string& prefix,
                                std::size_t depth, ResolvedLayer& layer) {
    const LayerKind* kind = find_layer_kind(spec.kind);
    if (kind == nullptr && spec.kind != kResidual) {
      return LayerFault{"there is no such kind of layer" + suggestion(spec.kind, layer_kinds()),
                        "docs/models.md lists the kinds of layers"};
    }
    if (auto wrong = names.give(layer.spec)) {
      return wrong;
    }
    if (++layers_ > limits::kLayersMax) {
      return LayerFault{
          fmt::format("with the layers of blocks the model has more than {}", limits::kLayersMax),
          "make the model smaller"};
    }
    if (kind == nullptr) {
      return add_residual(spec, prefix + layer.spec.name + ".", depth, layer);
    }
    if (!spec.layers.empty() || !spec.shortcut.empty()) {
      return LayerFault{"has layers of its own, which only a residual block has",
                        "take layers and shortcut out, or set type to \"residual\""};
    }
    if (kind->takes_tokens && layers_ > 1) {
      return LayerFault{"takes tokens, which are whole numbers and which no layer gives",
                        "make it the first layer"};
    }
    return infer(*kind, prefix, layer);
  }

  std::optional<LayerFault> infer(const LayerKind& kind, const std::string& prefix,
                                  ResolvedLayer& layer) {
    if (auto wrong = complete_attributes(kind.attributes, layer.spec.attributes)) {
      return wrong;
    }
    auto inferred = kind.infer(LayerAttributes(layer.spec.attributes), layer.input);
    if (!inferred) {
      return inferred.error();
    }
    if (!bounded_elements(inferred->output)) {
      return LayerFault{fmt::format("its output {} is larger than {} values",
                                    to_string(inferred->output), limits::kModelParametersMax),
                        "make the layer smaller"};
    }
    layer.output = std::move(inferred->output);
    layer.parameters = std::move(inferred->parameters);
    layer.buffers = std::move(inferred->buffers);
    const auto name = prefix + layer.spec.name;
    if (auto wrong = count(name, layer.parameters)) {
      return wrong;
    }
    const auto without_buffers = elements_;
    auto wrong = count(name, layer.buffers);
    buffer_elements_ += elements_ - without_buffers;
    return wrong;
  }

  std::optional<LayerFault> add_residual(const LayerSpec& spec, const std::string& prefix,
                                         std::size_t depth, ResolvedLayer& block) {
    if (auto wrong = complete_attributes({}, block.spec.attributes)) {
      return wrong;
    }
    if (depth == limits::kLayerDepthMax) {
      return LayerFault{fmt::format("is a block within {} others", limits::kLayerDepthMax),
                        "nest blocks less deeply"};
    }
    if (spec.layers.empty()) {
      return LayerFault{"has no layers", "give it layers = [{ type = ... }, ...]"};
    }
    const auto shortcut_taken = [](const LayerSpec& each) { return each.name == kShortcut; };
    if (std::any_of(spec.layers.begin(), spec.layers.end(), shortcut_taken)) {
      return LayerFault{"one of its layers is called \"shortcut\", as the way beside them is",
                        "give that layer another name"};
    }
    block.output = block.input;
    if (auto wrong = add_list(spec.layers, prefix, depth + 1, block.output, block.layers)) {
      wrong->cause.insert(0, "its ");
      return wrong;
    }
    Shape beside = block.input;
    if (auto wrong = add_list(spec.shortcut, fmt::format("{}{}.", prefix, kShortcut), depth + 1,
                              beside, block.shortcut)) {
      wrong->cause.insert(0, "its shortcut's ");
      return wrong;
    }
    if (beside != block.output) {
      return LayerFault{
          fmt::format("its layers give {}, its shortcut {}: they cannot be added",
                      to_string(block.output), to_string(beside)),
          "give it a shortcut with the same out_channels and strides, for example shortcut = "
          "[{ type = \"conv2d\", out_channels = ..., kernel_size = 1, stride = ... }]"};
    }
    return std::nullopt;
  }

  // Prefixes the tensors with the layer's name, appends them to the layout, and keeps the sum
  // within the limit.
  std::optional<LayerFault> count(const std::string& layer, std::vector<TensorInfo>& tensors) {
    for (auto& tensor : tensors) {
      tensor.name = fmt::format("{}.{}", layer, tensor.name);
      const auto elements = bounded_elements(tensor.shape);
      if (!elements || elements_ + *elements > limits::kModelParametersMax) {
        return LayerFault{
            fmt::format("with {} {} the model has more than {} parameters", tensor.name,
                        to_string(tensor.shape), limits::kModelParametersMax),
            "make the layer smaller"};
      }
      if (layout_.tensors.size() == limits::kModelTensorsMax) {
        return LayerFault{
            fmt::format("the model has more than {} tensors", limits::kModelTensorsMax),
            "take fewer layers"};
      }
      elements_ += *elements;
      layout_.tensors.push_back(tensor);
    }
    return std::nullopt;
  }

  std::size_t layers_ = 0;
  std::uint64_t elements_ = 0;
  std::uint64_t buffer_elements_ = 0;
  TensorLayout layout_;
};

// A spec that nobody has checked yet may be nested deeper than a model may be, but not deeper than
// a message is read.
void collect_kinds(const std::vector<LayerSpec>& layers, std::set<std::string>& kinds) {
  for (const auto& layer : layers) {
    kinds.insert(layer.kind);
    collect_kinds(layer.layers, kinds);
    collect_kinds(layer.shortcut, kinds);
  }
}

tl::unexpected<Refusal> invalid(std::string message, std::string hint) {
  return refuse("model_invalid", std::move(message), std::move(hint));
}

}  // namespace

Expected<ResolvedModel> resolve_model(const ModelSpec& model) {
  if (model.input.empty() || model.input.size() > limits::kTensorDimensionsMax) {
    return invalid(fmt::format("model.input has {} dimensions, must have 1 to {}",
                               model.input.size(), limits::kTensorDimensionsMax),
                   "give the shape of one example, for example input = [1, 28, 28]");
  }
  if (!bounded_elements(model.input)) {
    return invalid(fmt::format("model.input is {}, must have positive dimensions and at most {} "
                               "values",
                               to_string(model.input), limits::kModelParametersMax),
                   "give the shape of one example, for example input = [1, 28, 28]");
  }
  if (model.layers.empty() || model.layers.size() > limits::kLayersMax) {
    return invalid(fmt::format("model.layers has {} layers, must have 1 to {}", model.layers.size(),
                               limits::kLayersMax),
                   "describe each layer in a [[model.layers]] table");
  }
  ResolvedModel resolved;
  resolved.output = model.input;
  Resolver resolver;
  if (auto wrong = resolver.add_list(model.layers, "", 0, resolved.output, resolved.layers)) {
    return invalid(std::move(wrong->cause), std::move(wrong->hint));
  }
  resolved.layout = std::move(resolver.layout());
  resolved.buffer_elements = resolver.buffer_elements();
  if (resolved.layout.tensors.empty()) {
    return invalid("model.layers has no layer with parameters, there is nothing to train",
                   "add a linear or conv2d layer");
  }
  return resolved;
}

std::optional<std::int64_t> ResolvedModel::vocabulary() const {
  const auto& first = layers.front();
  const LayerKind* kind = find_layer_kind(first.spec.kind);
  if (kind == nullptr || !kind->takes_tokens) {
    return std::nullopt;
  }
  return integer_in(first.spec.attributes, "num_embeddings");
}

std::vector<std::string> layer_kinds_of(const ModelSpec& model) {
  std::set<std::string> kinds;
  collect_kinds(model.layers, kinds);
  return {kinds.begin(), kinds.end()};
}

std::string to_string(const Shape& shape) { return fmt::format("[{}]", fmt::join(shape, ", ")); }

}  // namespace entente
