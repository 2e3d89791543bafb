// The table of layer kinds. Internal to the domain; layers.h is what others use.
//
// A kind is a row: its attributes with type, range and default, and one function that infers the
// shape after the layer and its tensors. The frame (layers.cpp) has checked the attributes against
// the row and the input shape for sanity before it calls that function. Kinds are grouped by the
// data they work on: dense_layers.cpp, image_layers.cpp, sequence_layers.cpp.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

#include "common/domain/attributes.h"
#include "common/domain/tensor_layout.h"

namespace entente {

// The attributes of one layer, checked against its row: getters of attributes that the row has and
// that are not inferred cannot fail.
class LayerAttributes {
 public:
  explicit LayerAttributes(Attributes& values) : values_(values) {}

  [[nodiscard]] bool boolean(const std::string& name) const { return boolean_in(values_, name); }
  [[nodiscard]] std::int64_t integer(const std::string& name) const {
    return integer_in(values_, name);
  }
  // The value of an inferred attribute: what was given, or else `value`, which is then filled in.
  std::int64_t infer(const std::string& name, std::int64_t value) {
    return std::get<std::int64_t>(values_.try_emplace(name, value).first->second);
  }

 private:
  Attributes& values_;
};

// What a layer does: the shape it gives and the tensors it owns, named without the layer's name.
struct Inference {
  Shape output;
  std::vector<TensorInfo> parameters;
  std::vector<TensorInfo> buffers{};  // exchanged like parameters, but not what an optimizer moves
};

// Why a layer does not fit: ends the sentence `layer 3 "linear" (fc1): `.
using LayerFault = AttributeFault;

using LayerInference = tl::expected<Inference, LayerFault>;

struct LayerKind {
  std::string_view name;
  std::span<const AttributeRow> attributes;
  LayerInference (*infer)(LayerAttributes attributes, const Shape& input);
  bool takes_tokens = false;  // its input is whole numbers, which no layer gives
};

// Dimensions and sizes stay below this, so that sums of a few of them fit in 64 bits.
constexpr std::int64_t kDimensionMax = std::int64_t{1} << 36;

// --- pieces that kinds share ---

inline tl::unexpected<LayerFault> layer_fault(std::string cause, std::string hint) {
  return tl::unexpected<LayerFault>(LayerFault{std::move(cause), std::move(hint)});
}

inline LayerInference same_shape(LayerAttributes, const Shape& input) {
  return Inference{input, {}};
}

constexpr AttributeRow required_size(std::string_view name) {
  return required_integer(name, 1, static_cast<double>(kDimensionMax));
}
constexpr AttributeRow inferred_size(std::string_view name) {
  return inferred_integer(name, 1, static_cast<double>(kDimensionMax));
}
constexpr AttributeRow share_or(std::string_view name, double fallback) {
  return number_or(name, fallback, 0, 1);
}

// A given in_features or in_channels repeats what the shape says already; a contradiction is a
// mistake in one of the two places.
[[nodiscard]] std::optional<LayerFault> check_inferred(LayerAttributes& attributes,
                                                       const std::string& name, std::int64_t actual,
                                                       const Shape& input);

// --- the table ---

[[nodiscard]] std::span<const LayerKind> dense_layer_kinds();
[[nodiscard]] std::span<const LayerKind> image_layer_kinds();
[[nodiscard]] std::span<const LayerKind> sequence_layer_kinds();

// A layer that has layers of its own. It adds what they make of its input to its shortcut.
constexpr std::string_view kResidual = "residual";

// Null for a kind that is none, and for a block.
[[nodiscard]] const LayerKind* find_layer_kind(std::string_view name);

}  // namespace entente
