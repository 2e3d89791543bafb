#include "common/domain/layer_kinds.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>

#include "common/domain/layers.h"

namespace entente {
namespace {

using Result = tl::expected<Inference, LayerFault>;

tl::unexpected<LayerFault> fault(std::string cause, std::string hint) {
  return tl::unexpected<LayerFault>(LayerFault{std::move(cause), std::move(hint)});
}

// Kernels, strides and paddings beyond this are mistakes, and sums of them stay small.
constexpr double kWindowMax = 1 << 16;
constexpr double kFeaturesMax = static_cast<double>(kDimensionMax);

// --- pieces that kinds share ---

// A given in_features or in_channels repeats what the shape says already; a contradiction is a
// mistake in one of the two places.
std::optional<LayerFault> check_inferred(LayerAttributes& attributes, const std::string& name,
                                         std::int64_t actual, const Shape& input) {
  const auto given = attributes.infer(name, actual);
  if (given == actual) {
    return std::nullopt;
  }
  return LayerFault{fmt::format("{} is {}, but it gets {}", name, given, to_string(input)),
                    fmt::format("set {} to {} or leave it out", name, actual)};
}

std::optional<LayerFault> check_image(const Shape& input) {
  if (input.size() == 3) {
    return std::nullopt;
  }
  return LayerFault{
      fmt::format("expects [channels, height, width], gets {}", to_string(input)),
      "image layers come before flatten, and model.input is [channels, height, width]"};
}

// The side of an image after a sliding window:
// https://pytorch.org/docs/stable/generated/torch.nn.Conv2d.html#torch.nn.Conv2d (dilation 1)
std::optional<std::int64_t> slide(std::int64_t side, std::int64_t kernel, std::int64_t stride,
                                  std::int64_t padding) {
  const std::int64_t padded = side + 2 * padding;
  if (kernel > padded) {
    return std::nullopt;
  }
  return (padded - kernel) / stride + 1;
}

struct Window {
  std::int64_t kernel;
  std::int64_t stride;
  std::int64_t padding;
};

Result slide_over_image(const Shape& input, std::int64_t channels, const Window& window) {
  const auto height = slide(input[1], window.kernel, window.stride, window.padding);
  const auto width = slide(input[2], window.kernel, window.stride, window.padding);
  if (!height || !width) {
    return fault(fmt::format("kernel_size is {}, larger than its padded input, {}", window.kernel,
                             to_string({input[0], input[1] + 2 * window.padding,
                                        input[2] + 2 * window.padding})),
                 "make kernel_size smaller, or the strides of the layers before it");
  }
  return Inference{{channels, *height, *width}, {}};
}

void add_weight_and_bias(Inference& inference, Shape weight, bool bias) {
  const auto out = weight.front();
  inference.parameters.push_back({"weight", std::move(weight)});
  if (bias) {
    inference.parameters.push_back({"bias", {out}});
  }
}

Result same_shape(LayerAttributes, const Shape& input) { return Inference{input, {}}; }

// --- one function for each kind with a shape of its own ---

Result infer_linear(LayerAttributes attributes, const Shape& input) {
  if (input.size() != 1) {
    return fault(fmt::format("expects a flat input, gets {}", to_string(input)),
                 "put a flatten layer before it");
  }
  if (auto wrong = check_inferred(attributes, "in_features", input[0], input)) {
    return tl::unexpected(*wrong);
  }
  const auto out = attributes.integer("out_features");
  Inference inference{{out}, {}};
  add_weight_and_bias(inference, {out, input[0]}, attributes.boolean("bias"));
  return inference;
}

Result infer_conv2d(LayerAttributes attributes, const Shape& input) {
  if (auto wrong = check_image(input)) {
    return tl::unexpected(*wrong);
  }
  if (auto wrong = check_inferred(attributes, "in_channels", input[0], input)) {
    return tl::unexpected(*wrong);
  }
  const auto out = attributes.integer("out_channels");
  const Window window{attributes.integer("kernel_size"), attributes.integer("stride"),
                      attributes.integer("padding")};
  return slide_over_image(input, out, window).map([&](Inference inference) {
    add_weight_and_bias(inference, {out, input[0], window.kernel, window.kernel},
                        attributes.boolean("bias"));
    return inference;
  });
}

Result infer_max_pool2d(LayerAttributes attributes, const Shape& input) {
  if (auto wrong = check_image(input)) {
    return tl::unexpected(*wrong);
  }
  const auto kernel = attributes.integer("kernel_size");
  const Window window{kernel, attributes.infer("stride", kernel), attributes.integer("padding")};
  // A window that lies in the padding altogether would have no maximum.
  if (window.padding > kernel / 2) {
    return fault(
        fmt::format("padding is {}, more than half of kernel_size, {}", window.padding, kernel),
        fmt::format("set padding to at most {}", kernel / 2));
  }
  return slide_over_image(input, input[0], window);
}

// The frame keeps the product of a shape's dimensions within bounds.
Result infer_flatten(LayerAttributes, const Shape& input) {
  std::int64_t features = 1;
  for (const auto dimension : input) {
    features *= dimension;
  }
  return Inference{{features}, {}};
}

// --- the table ---

constexpr AttributeRow required_size(std::string_view name, double max) {
  return {name, AttributeType::integer, Absent::is_an_error, 1, max, 0};
}
constexpr AttributeRow inferred_size(std::string_view name, double max) {
  return {name, AttributeType::integer, Absent::is_inferred, 1, max, 0};
}
constexpr AttributeRow size_or(std::string_view name, double fallback, double min) {
  return {name, AttributeType::integer, Absent::takes_default, min, kWindowMax, fallback};
}
constexpr AttributeRow flag_or(std::string_view name, bool fallback) {
  return {name, AttributeType::boolean, Absent::takes_default, 0, 1, fallback ? 1.0 : 0.0};
}
constexpr AttributeRow fraction_or(std::string_view name, double fallback) {
  return {name, AttributeType::number, Absent::takes_default, 0, 1, fallback};
}

constexpr std::array kLinear{
    required_size("out_features", kFeaturesMax),
    inferred_size("in_features", kFeaturesMax),
    flag_or("bias", true),
};
constexpr std::array kConv2d{
    required_size("out_channels", kFeaturesMax),
    required_size("kernel_size", kWindowMax),
    size_or("stride", 1, 1),
    size_or("padding", 0, 0),
    inferred_size("in_channels", kFeaturesMax),
    flag_or("bias", true),
};
constexpr std::array kMaxPool2d{
    required_size("kernel_size", kWindowMax),
    inferred_size("stride", kWindowMax),
    size_or("padding", 0, 0),
};
constexpr std::array kDropout{fraction_or("p", 0.5)};

constexpr std::array kLayerKinds{
    LayerKind{"linear", kLinear, infer_linear},
    LayerKind{"conv2d", kConv2d, infer_conv2d},
    LayerKind{"max_pool2d", kMaxPool2d, infer_max_pool2d},
    LayerKind{"relu", {}, same_shape},
    LayerKind{"flatten", {}, infer_flatten},
    LayerKind{"dropout", kDropout, same_shape},
};

}  // namespace

std::span<const LayerKind> all_layer_kinds() { return kLayerKinds; }

const LayerKind* find_layer_kind(std::string_view name) {
  const auto found = std::find_if(kLayerKinds.begin(), kLayerKinds.end(),
                                  [&](const LayerKind& kind) { return kind.name == name; });
  return found == kLayerKinds.end() ? nullptr : found;
}

}  // namespace entente
