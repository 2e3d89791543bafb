// The kinds of numbers that a tensor in a file may hold, by their names in the safetensors format.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "common/domain/enum_names.h"

namespace entente {

enum class DType : std::uint8_t { f32, f16, bf16, i8, i32, i64 };

inline constexpr std::array kDTypes{
    EnumName<DType>{DType::f32, "F32"},   EnumName<DType>{DType::f16, "F16"},
    EnumName<DType>{DType::bf16, "BF16"}, EnumName<DType>{DType::i8, "I8"},
    EnumName<DType>{DType::i32, "I32"},   EnumName<DType>{DType::i64, "I64"}};
static_assert(in_order(kDTypes));

[[nodiscard]] inline std::string_view to_string(DType dtype) { return name_of(kDTypes, dtype); }

[[nodiscard]] inline std::optional<DType> parse_dtype(std::string_view name) {
  return value_of(kDTypes, name);
}

// Of one element.
[[nodiscard]] constexpr std::size_t bytes_of(DType dtype) {
  switch (dtype) {
    case DType::f32:
    case DType::i32:
      return 4;
    case DType::f16:
    case DType::bf16:
      return 2;
    case DType::i8:
      return 1;
    case DType::i64:
      return 8;
  }
  return 0;
}

}  // namespace entente
