// Named values with a type, a range and a default: what layers, optimizers and schedules take.
//
// A kind of anything is a row in some table, and its attributes are rows of that row. What a
// coordinator has written is checked against them in one place, so that a wrong type, a number out
// of range and a misspelt name read the same everywhere.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/domain/model_spec.h"

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

using Attributes = std::map<std::string, Attribute>;

// What is wrong, as the end of a sentence that has named the owner, and the next step.
struct AttributeFault {
  std::string cause;
  std::string hint;
};

// Checks what is given and fills in what has a default. An integer that stands for a number becomes
// one.
[[nodiscard]] std::optional<AttributeFault> complete_attributes(std::span<const AttributeRow> rows,
                                                                Attributes& values);

[[nodiscard]] std::vector<std::string> attribute_names(std::span<const AttributeRow> rows);

// Of completed attributes: one that the rows have and that is not inferred is there.
[[nodiscard]] inline bool boolean_in(const Attributes& values, const std::string& name) {
  return std::get<bool>(values.at(name));
}
[[nodiscard]] inline std::int64_t integer_in(const Attributes& values, const std::string& name) {
  return std::get<std::int64_t>(values.at(name));
}
[[nodiscard]] inline double number_in(const Attributes& values, const std::string& name) {
  return std::get<double>(values.at(name));
}

// --- rows ---

constexpr AttributeRow required_integer(std::string_view name, double min, double max) {
  return {name, AttributeType::integer, Absent::is_an_error, min, max, 0};
}
constexpr AttributeRow inferred_integer(std::string_view name, double min, double max) {
  return {name, AttributeType::integer, Absent::is_inferred, min, max, 0};
}
constexpr AttributeRow integer_or(std::string_view name, double fallback, double min, double max) {
  return {name, AttributeType::integer, Absent::takes_default, min, max, fallback};
}
constexpr AttributeRow required_number(std::string_view name, double min, double max) {
  return {name, AttributeType::number, Absent::is_an_error, min, max, 0};
}
constexpr AttributeRow number_or(std::string_view name, double fallback, double min, double max) {
  return {name, AttributeType::number, Absent::takes_default, min, max, fallback};
}
constexpr AttributeRow flag_or(std::string_view name, bool fallback) {
  return {name, AttributeType::boolean, Absent::takes_default, 0, 1, fallback ? 1.0 : 0.0};
}

}  // namespace entente
