// The block of int8: values as whole multiples, from -127 to 127, of one scale.
//
// A value between two multiples goes up or down by chance, with the odds that make it right on
// average (stochastic rounding): the errors of many sites and rounds cancel each other instead of
// adding up. Chance is a function of a seed and of the value's place, so that the same update gives
// the same bytes. After QSGD (Alistarh et al. 2017, arXiv:1610.02132) with the largest value as
// norm. Any thread.
#pragma once

#include <cstdint>
#include <span>

namespace entente {

// The smallest scale that reaches the largest of `values`, which are finite; 0 for zeros.
[[nodiscard]] float scale_of(std::span<const float> values);

// `first` is the place of values[0] in the update's flat vector. Both spans have the same size.
void round_to_scale(std::span<const float> values, float scale, std::uint64_t seed,
                    std::uint64_t first, std::span<std::int8_t> multiples);

void from_multiples(std::span<const std::int8_t> multiples, float scale, std::span<float> values);

}  // namespace entente
