// Kinds of layers for values in any arrangement: linear, activations, dropout, normalisation.
#include <fmt/format.h>

#include <array>

#include "common/domain/layer_kinds.h"
#include "common/domain/layers.h"

namespace entente {
namespace {

// A flat input, or each position of a sequence for itself.
LayerInference infer_linear(LayerAttributes attributes, const Shape& input) {
  if (input.size() > 2) {
    return layer_fault(fmt::format("expects a flat input, gets {}", to_string(input)),
                       "put a flatten layer before it");
  }
  if (auto wrong = check_inferred(attributes, "in_features", input.back(), input)) {
    return tl::unexpected(*wrong);
  }
  const auto out = attributes.integer("out_features");
  Inference inference{input, {{"weight", {out, input.back()}}}};
  inference.output.back() = out;
  if (attributes.boolean("bias")) {
    inference.parameters.push_back({"bias", {out}});
  }
  return inference;
}

// The frame keeps the product of a shape's dimensions within bounds.
LayerInference infer_flatten(LayerAttributes, const Shape& input) {
  std::int64_t features = 1;
  for (const auto dimension : input) {
    features *= dimension;
  }
  return Inference{{features}, {}};
}

// Over the batch, for each channel; what evaluation uses in place of the batch's statistics is
// exchanged with the weights.
LayerInference infer_batch_norm(LayerAttributes, const Shape& input) {
  if (input.size() != 1 && input.size() != 3) {
    return layer_fault(
        fmt::format("expects [features] or [channels, height, width], gets {}", to_string(input)),
        "use layer_norm for sequences");
  }
  const Shape channels{input.front()};
  return Inference{input,
                   {{"weight", channels}, {"bias", channels}},
                   {{"running_mean", channels}, {"running_var", channels}}};
}

LayerInference infer_group_norm(LayerAttributes attributes, const Shape& input) {
  const auto groups = attributes.integer("num_groups");
  const auto channels = input.front();
  if (channels % groups != 0) {
    return layer_fault(fmt::format("num_groups is {}, which does not divide the {} channels of {}",
                                   groups, channels, to_string(input)),
                       fmt::format("set num_groups to a divisor of {}", channels));
  }
  return Inference{input, {{"weight", {channels}}, {"bias", {channels}}}};
}

LayerInference infer_layer_norm(LayerAttributes, const Shape& input) {
  return Inference{input, {{"weight", {input.back()}}, {"bias", {input.back()}}}};
}

constexpr AttributeRow eps_row() { return number_or("eps", 1e-5, 1e-12, 1); }

constexpr std::array kLinear{
    required_size("out_features"),
    inferred_size("in_features"),
    flag_or("bias", true),
};
constexpr std::array kLeakyRelu{share_or("negative_slope", 0.01)};
constexpr std::array kElu{number_or("alpha", 1, 0, 1000)};
constexpr std::array kDropout{share_or("p", 0.5)};
constexpr std::array kBatchNorm{eps_row(), share_or("momentum", 0.1)};
constexpr std::array kGroupNorm{required_size("num_groups"), eps_row()};
constexpr std::array kLayerNorm{eps_row()};

constexpr std::array kKinds{
    LayerKind{"linear", kLinear, infer_linear},
    LayerKind{"relu", {}, same_shape},
    LayerKind{"leaky_relu", kLeakyRelu, same_shape},
    LayerKind{"elu", kElu, same_shape},
    LayerKind{"gelu", {}, same_shape},
    LayerKind{"silu", {}, same_shape},
    LayerKind{"tanh", {}, same_shape},
    LayerKind{"sigmoid", {}, same_shape},
    LayerKind{"flatten", {}, infer_flatten},
    LayerKind{"dropout", kDropout, same_shape},
    LayerKind{"batch_norm", kBatchNorm, infer_batch_norm},
    LayerKind{"group_norm", kGroupNorm, infer_group_norm},
    LayerKind{"layer_norm", kLayerNorm, infer_layer_norm},
};

}  // namespace

std::span<const LayerKind> dense_layer_kinds() { return kKinds; }

}  // namespace entente
