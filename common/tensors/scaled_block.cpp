#include "common/tensors/scaled_block.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "common/base/check.h"

namespace entente {
namespace {

constexpr float kMultipleMax = 127;

// Output `place` of SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number
// generators", OOPSLA 2014) as a number from 0 to below 1.
double chance_at(std::uint64_t seed, std::uint64_t place) {
  std::uint64_t z = seed + (place + 1) * 0x9e3779b97f4a7c15;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  z ^= z >> 31;
  return static_cast<double>(z >> 11) * 0x1p-53;
}

}  // namespace

float scale_of(std::span<const float> values) {
  float largest = 0;
  for (const float value : values) {
    largest = std::max(largest, std::abs(value));
  }
  const float scale = largest / kMultipleMax;
  // The division may have rounded down; the largest value must not need a multiple of 128.
  const bool reaches = double{scale} * kMultipleMax >= largest;
  return reaches ? scale : std::nextafter(scale, std::numeric_limits<float>::infinity());
}

void round_to_scale(std::span<const float> values, float scale, std::uint64_t seed,
                    std::uint64_t first, std::span<std::int8_t> multiples) {
  ENTENTE_CHECK(values.size() == multiples.size());
  if (scale == 0) {
    std::ranges::fill(multiples, 0);
    return;
  }
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double exact = double{values[i]} / scale;
    const double below = std::floor(exact);
    const bool goes_up = chance_at(seed, first + i) < exact - below;
    multiples[i] = static_cast<std::int8_t>(below + (goes_up ? 1 : 0));
  }
}

void from_multiples(std::span<const std::int8_t> multiples, float scale, std::span<float> values) {
  ENTENTE_CHECK(values.size() == multiples.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = scale * static_cast<float>(multiples[i]);
  }
}

}  // namespace entente
