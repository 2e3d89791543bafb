// The table of layer kinds. Internal to the domain; layers.h is what others use.
//
// A kind is a row: its attributes with type, range and default, and one function that infers the
// shape after the layer and its parameters. The frame (layers.cpp) has checked the attributes
// against the row and the input shape for sanity before it calls that function.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

#include "common/domain/model_spec.h"
#include "common/domain/tensor_layout.h"

namespace entente {

enum class AttributeType : std::uint8_t { boolean, integer, number };

// Where a value comes from that the spec does not give.
enum class Absent : std::uint8_t {
  is_an_error,
  takes_default,
  is_inferred,  // from the input's shape or another attribute; a given value is checked
};

struct AttributeRow {
  std::string_view name;
  AttributeType type = AttributeType::integer;
  Absent absent = Absent::is_an_error;
  double min = 0;  // of integers and numbers, inclusive
  double max = 0;
  double fallback = 0;  // with takes_default; a boolean is 0 or 1
};

// The attributes of one layer, checked against its row: getters of attributes that the row has and
// that are not inferred cannot fail.
class LayerAttributes {
 public:
  explicit LayerAttributes(std::map<std::string, Attribute>& values) : values_(values) {}

  [[nodiscard]] bool boolean(const std::string& name) const {
    return std::get<bool>(values_.at(name));
  }
  [[nodiscard]] std::int64_t integer(const std::string& name) const {
    return std::get<std::int64_t>(values_.at(name));
  }
  // The value of an inferred attribute: what was given, or else `value`, which is then filled in.
  std::int64_t infer(const std::string& name, std::int64_t value) {
    return std::get<std::int64_t>(values_.try_emplace(name, value).first->second);
  }

 private:
  std::map<std::string, Attribute>& values_;
};

// What a layer does: the shape it gives and the tensors it owns, named without the layer's name.
struct Inference {
  Shape output;
  std::vector<TensorInfo> parameters;
};

// Why a layer does not fit: ends the sentence `layer 3 "linear" (fc1): `.
struct LayerFault {
  std::string cause;
  std::string hint;
};

struct LayerKind {
  std::string_view name;
  std::span<const AttributeRow> attributes;
  tl::expected<Inference, LayerFault> (*infer)(LayerAttributes attributes, const Shape& input);
};

// Dimensions and sizes stay below this, so that sums of a few of them fit in 64 bits.
constexpr std::int64_t kDimensionMax = std::int64_t{1} << 36;

[[nodiscard]] std::span<const LayerKind> all_layer_kinds();
[[nodiscard]] const LayerKind* find_layer_kind(std::string_view name);

}  // namespace entente
