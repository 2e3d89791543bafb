// Numbers of two bytes: IEEE 754 binary16 ("F16") and bfloat16 ("BF16"), to and from float32.
//
// To two bytes a value is rounded to the nearest, of two equally near ones to the even; what is too
// large becomes an infinity. To float32 every value is exact. All bit patterns are taken; a NaN
// stays one. The bits do not depend on the instruction set. Any thread.
#pragma once

#include <cstdint>
#include <span>

namespace entente {

// Both spans have the same size.
void to_f16(std::span<const float> from, std::span<std::uint16_t> to);
void to_bf16(std::span<const float> from, std::span<std::uint16_t> to);
void from_f16(std::span<const std::uint16_t> from, std::span<float> to);
void from_bf16(std::span<const std::uint16_t> from, std::span<float> to);

}  // namespace entente
