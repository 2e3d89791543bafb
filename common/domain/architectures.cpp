#include "common/domain/architectures.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "common/base/limits.h"
#include "common/base/nearest.h"
#include "common/base/quote.h"
#include "common/domain/layer_kinds.h"

namespace entente {
namespace {

using Layers = std::vector<LayerSpec>;

LayerSpec layer(std::string kind, std::string name, Attributes attributes = {}) {
  return {std::move(kind), std::move(name), std::move(attributes)};
}

LayerSpec linear(std::string name, std::int64_t out) {
  return layer("linear", std::move(name), {{"out_features", out}});
}

LayerSpec dropout(std::string name, double p) {
  return layer("dropout", std::move(name), {{"p", p}});
}

LayerSpec conv3x3(std::string name, std::int64_t channels, std::int64_t stride) {
  return layer("conv2d", std::move(name),
               {{"out_channels", channels},
                {"kernel_size", std::int64_t{3}},
                {"stride", stride},
                {"padding", std::int64_t{1}},
                {"bias", false}});
}

struct Expansion {
  const ArchitectureSpec& spec;
  const Shape& input;

  [[nodiscard]] std::int64_t integer(const char* name) const {
    return integer_in(spec.attributes, name);
  }
  [[nodiscard]] double number(const char* name) const { return number_in(spec.attributes, name); }
  [[nodiscard]] bool boolean(const char* name) const { return boolean_in(spec.attributes, name); }
};

void flatten_if_needed(const Expansion& wanted, Layers& layers) {
  if (wanted.input.size() > 1) {
    layers.push_back(layer("flatten", "flatten"));
  }
}

Layers one_linear(const Expansion& wanted) {
  Layers layers;
  flatten_if_needed(wanted, layers);
  layers.push_back(linear("output", wanted.integer("outputs")));
  return layers;
}

Layers mlp(const Expansion& wanted) {
  Layers layers;
  flatten_if_needed(wanted, layers);
  std::size_t number = 0;
  for (const auto width : wanted.spec.hidden) {
    ++number;
    layers.push_back(linear(fmt::format("hidden{}", number), width));
    layers.push_back(layer("relu", fmt::format("relu{}", number)));
    if (wanted.number("dropout") > 0) {
      layers.push_back(dropout(fmt::format("dropout{}", number), wanted.number("dropout")));
    }
  }
  layers.push_back(linear("output", wanted.integer("outputs")));
  return layers;
}

Layers lenet(const Expansion& wanted) {
  const auto conv = [](std::string name, std::int64_t channels, std::int64_t padding) {
    return layer(
        "conv2d", std::move(name),
        {{"out_channels", channels}, {"kernel_size", std::int64_t{5}}, {"padding", padding}});
  };
  const auto pool = [](std::string name) {
    return layer("max_pool2d", std::move(name), {{"kernel_size", std::int64_t{2}}});
  };
  return {conv("conv1", 6, 2),
          layer("relu", "relu1"),
          pool("pool1"),
          conv("conv2", 16, 0),
          layer("relu", "relu2"),
          pool("pool2"),
          layer("flatten", "flatten"),
          linear("hidden1", 120),
          layer("relu", "relu3"),
          linear("hidden2", 84),
          layer("relu", "relu4"),
          linear("output", wanted.integer("outputs"))};
}

Layers resnet8(const Expansion& wanted) {
  const auto norm = [&](std::string name) {
    return wanted.boolean("group_norm")
               ? layer("group_norm", std::move(name), {{"num_groups", std::int64_t{8}}})
               : layer("batch_norm", std::move(name));
  };
  const auto width = wanted.integer("width");
  Layers layers{conv3x3("conv", width, 1), norm("norm"), layer("relu", "relu")};
  for (std::int64_t stage = 1; stage <= 3; ++stage) {
    const auto channels = width << (stage - 1);
    const std::int64_t stride = stage == 1 ? 1 : 2;
    auto block = layer(std::string(kResidual), fmt::format("block{}", stage));
    block.layers = {conv3x3("conv1", channels, stride), norm("norm1"), layer("relu", "relu"),
                    conv3x3("conv2", channels, 1), norm("norm2")};
    if (stage > 1) {
      block.shortcut = {layer("conv2d", "conv",
                              {{"out_channels", channels},
                               {"kernel_size", std::int64_t{1}},
                               {"stride", stride},
                               {"bias", false}}),
                        norm("norm")};
    }
    layers.push_back(std::move(block));
    layers.push_back(layer("relu", fmt::format("relu{}", stage)));
  }
  layers.push_back(layer("global_avg_pool", "pool"));
  layers.push_back(linear("output", wanted.integer("outputs")));
  return layers;
}

LayerSpec embedding(const Expansion& wanted) {
  return layer("embedding", "embedding",
               {{"num_embeddings", wanted.integer("vocabulary")},
                {"embedding_dim", wanted.integer("embedding_dim")}});
}

Layers recurrent_classifier(const Expansion& wanted, std::string kind) {
  auto name = kind;
  return {embedding(wanted),
          layer(std::move(kind), std::move(name),
                {{"hidden_size", wanted.integer("hidden_size")},
                 {"num_layers", wanted.integer("num_layers")},
                 {"bidirectional", wanted.boolean("bidirectional")},
                 {"dropout", wanted.number("dropout")}}),
          linear("output", wanted.integer("outputs"))};
}

Layers transformer_encoder(const Expansion& wanted) {
  const auto p = wanted.number("dropout");
  const auto features = wanted.integer("embedding_dim");
  Layers layers{embedding(wanted), layer("positional_encoding", "positions"),
                dropout("dropout", p)};
  for (std::int64_t number = 1; number <= wanted.integer("num_layers"); ++number) {
    auto attention = layer(std::string(kResidual), fmt::format("attention{}", number));
    attention.layers = {layer("layer_norm", "norm"),
                        layer("self_attention", "heads",
                              {{"num_heads", wanted.integer("num_heads")}, {"dropout", p}}),
                        dropout("dropout", p)};
    auto feed_forward = layer(std::string(kResidual), fmt::format("feed_forward{}", number));
    feed_forward.layers = {layer("layer_norm", "norm"),
                           linear("linear1", wanted.integer("feed_forward")), layer("gelu", "gelu"),
                           linear("linear2", features), dropout("dropout", p)};
    layers.push_back(std::move(attention));
    layers.push_back(std::move(feed_forward));
  }
  layers.push_back(layer("layer_norm", "norm"));
  layers.push_back(layer("mean_pool", "pool"));
  layers.push_back(linear("output", wanted.integer("outputs")));
  return layers;
}

struct Architecture {
  std::string_view name;
  std::span<const AttributeRow> attributes;
  Layers (*expand)(const Expansion& wanted);
};

constexpr AttributeRow size_or(std::string_view name, double fallback) {
  return integer_or(name, fallback, 1, static_cast<double>(kDimensionMax));
}
// Stacks deeper than this are no small models any more: describe them layer by layer.
constexpr double kStackMax = 64;

constexpr std::array kOneLinear{size_or("outputs", 1)};
constexpr std::array kMlp{required_size("outputs"), share_or("dropout", 0)};
constexpr std::array kLenet{size_or("outputs", 10)};
constexpr std::array kResnet8{size_or("outputs", 10), integer_or("width", 16, 1, 1 << 16),
                              flag_or("group_norm", false)};
constexpr std::array kRecurrent{
    required_size("outputs"),
    required_size("vocabulary"),
    size_or("embedding_dim", 64),
    size_or("hidden_size", 128),
    integer_or("num_layers", 2, 1, kStackMax),
    flag_or("bidirectional", false),
    share_or("dropout", 0),
};
constexpr std::array kTransformer{
    required_size("outputs"),     required_size("vocabulary"),
    size_or("embedding_dim", 64), size_or("feed_forward", 128),
    size_or("num_heads", 4),      integer_or("num_layers", 2, 1, kStackMax),
    share_or("dropout", 0.1),
};

constexpr std::array kArchitectures{
    Architecture{"linear", kOneLinear, one_linear},
    Architecture{"logistic", kOneLinear, one_linear},
    Architecture{"mlp", kMlp, mlp},
    Architecture{"lenet", kLenet, lenet},
    Architecture{"resnet8", kResnet8, resnet8},
    Architecture{"lstm_classifier", kRecurrent,
                 [](const Expansion& wanted) { return recurrent_classifier(wanted, "lstm"); }},
    Architecture{"gru_classifier", kRecurrent,
                 [](const Expansion& wanted) { return recurrent_classifier(wanted, "gru"); }},
    Architecture{"transformer_encoder", kTransformer, transformer_encoder},
};

const Architecture* find_architecture(std::string_view name) {
  const auto found = std::find_if(kArchitectures.begin(), kArchitectures.end(),
                                  [&](const Architecture& row) { return row.name == name; });
  return found == kArchitectures.end() ? nullptr : found;
}

tl::unexpected<Refusal> invalid(std::string message, std::string hint) {
  return refuse("model_invalid", std::move(message), std::move(hint));
}

}  // namespace

std::vector<std::string> architecture_names() {
  std::vector<std::string> names;
  for (const auto& row : kArchitectures) {
    names.emplace_back(row.name);
  }
  return names;
}

std::vector<std::string> architecture_attributes(std::string_view name) {
  const auto* found = find_architecture(name);
  return found == nullptr ? std::vector<std::string>() : attribute_names(found->attributes);
}

Expected<std::vector<LayerSpec>> expand_architecture(const ArchitectureSpec& architecture,
                                                     const Shape& input) {
  const auto* found = find_architecture(architecture.name);
  if (found == nullptr) {
    const auto known = architecture_names();
    return invalid(fmt::format("model.architecture is {}, which is unknown{}",
                               quote(architecture.name), suggestion(architecture.name, known)),
                   "docs/models.md lists the architectures");
  }
  const bool has_hidden = found->expand == mlp;
  if (has_hidden ? architecture.hidden.empty() : !architecture.hidden.empty()) {
    return has_hidden
               ? invalid("model.hidden is missing", "give the width of each hidden layer: [64, 64]")
               : invalid(
                     fmt::format("model.hidden has no effect: {} has no such layers", found->name),
                     "leave it out");
  }
  if (architecture.hidden.size() > limits::kLayersMax) {
    return invalid(fmt::format("model.hidden has {} layers, may have {}",
                               architecture.hidden.size(), limits::kLayersMax),
                   "make the model smaller");
  }
  ArchitectureSpec completed = architecture;
  if (auto wrong = complete_attributes(found->attributes, completed.attributes)) {
    return invalid(fmt::format("model.architecture \"{}\": {}", found->name, wrong->cause),
                   std::move(wrong->hint));
  }
  return found->expand({completed, input});
}

}  // namespace entente
