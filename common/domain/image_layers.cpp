// Kinds of layers for images, [channels, height, width].
#include <fmt/format.h>

#include <array>
#include <optional>

#include "common/domain/layer_kinds.h"
#include "common/domain/layers.h"

namespace entente {
namespace {

// Kernels, strides and paddings beyond this are mistakes, and sums of them stay small.
constexpr double kWindowMax = 1 << 16;

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

LayerInference slide_over_image(const Shape& input, std::int64_t channels, const Window& window) {
  const auto height = slide(input[1], window.kernel, window.stride, window.padding);
  const auto width = slide(input[2], window.kernel, window.stride, window.padding);
  if (!height || !width) {
    return layer_fault(
        fmt::format(
            "kernel_size is {}, larger than its padded input, {}", window.kernel,
            to_string({input[0], input[1] + 2 * window.padding, input[2] + 2 * window.padding})),
        "make kernel_size smaller, or the strides of the layers before it");
  }
  return Inference{{channels, *height, *width}, {}};
}

LayerInference infer_conv2d(LayerAttributes attributes, const Shape& input) {
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
    inference.parameters.push_back({"weight", {out, input[0], window.kernel, window.kernel}});
    if (attributes.boolean("bias")) {
      inference.parameters.push_back({"bias", {out}});
    }
    return inference;
  });
}

LayerInference infer_pool2d(LayerAttributes attributes, const Shape& input) {
  if (auto wrong = check_image(input)) {
    return tl::unexpected(*wrong);
  }
  const auto kernel = attributes.integer("kernel_size");
  const Window window{kernel, attributes.infer("stride", kernel), attributes.integer("padding")};
  // A window that lies in the padding altogether would have nothing to pool.
  if (window.padding > kernel / 2) {
    return layer_fault(
        fmt::format("padding is {}, more than half of kernel_size, {}", window.padding, kernel),
        fmt::format("set padding to at most {}", kernel / 2));
  }
  return slide_over_image(input, input[0], window);
}

LayerInference infer_global_pool(LayerAttributes, const Shape& input) {
  if (auto wrong = check_image(input)) {
    return tl::unexpected(*wrong);
  }
  return Inference{{input[0]}, {}};
}

constexpr std::array kConv2d{
    required_size("out_channels"),          required_integer("kernel_size", 1, kWindowMax),
    integer_or("stride", 1, 1, kWindowMax), integer_or("padding", 0, 0, kWindowMax),
    inferred_size("in_channels"),           flag_or("bias", true),
};
constexpr std::array kPool2d{
    required_integer("kernel_size", 1, kWindowMax),
    inferred_integer("stride", 1, kWindowMax),
    integer_or("padding", 0, 0, kWindowMax),
};

constexpr std::array kKinds{
    LayerKind{"conv2d", kConv2d, infer_conv2d},
    LayerKind{"max_pool2d", kPool2d, infer_pool2d},
    LayerKind{"avg_pool2d", kPool2d, infer_pool2d},
    LayerKind{"global_max_pool", {}, infer_global_pool},
    LayerKind{"global_avg_pool", {}, infer_global_pool},
};

}  // namespace

std::span<const LayerKind> image_layer_kinds() { return kKinds; }

}  // namespace entente
