#include "common/tensors/top_values.h"

#include <algorithm>
#include <array>
#include <bit>
#include <vector>

#include "common/base/check.h"

namespace entente {
namespace {

constexpr std::size_t kBlockValues = 2048;
constexpr std::uint32_t kLowBits = 16;
constexpr std::uint32_t kLowMask = (1U << kLowBits) - 1;

std::uint32_t size_bits(float value) { return std::bit_cast<std::uint32_t>(value) & 0x7fffffff; }

template <class Count>
void for_each_value(std::size_t size, const ReadValues& read, Count count) {
  std::array<float, kBlockValues> scratch;
  for (std::size_t start = 0; start < size; start += kBlockValues) {
    const auto block = std::span(scratch).first(std::min(kBlockValues, size - start));
    const float* const values = read(start, block);
    for (std::size_t i = 0; i < block.size(); ++i) {
      count(size_bits(values[i]));
    }
  }
}

// Where, counted from the largest, the `left`-th lies; `left` becomes its number there.
std::uint32_t find_from_above(const std::vector<std::uint64_t>& counts, std::uint64_t& left) {
  std::size_t at = counts.size();
  while (at-- > 0) {
    if (left <= counts[at]) {
      return static_cast<std::uint32_t>(at);
    }
    left -= counts[at];
  }
  ENTENTE_CHECK(false);
  return 0;
}

}  // namespace

TopValues::TopValues(std::size_t size, std::uint64_t count, const ReadValues& read) {
  ENTENTE_CHECK(count >= 1 && count <= size);
  std::vector<std::uint64_t> counts(1U << (31 - kLowBits));
  for_each_value(size, read, [&](std::uint32_t bits) { ++counts[bits >> kLowBits]; });
  std::uint64_t left = count;
  const std::uint32_t high = find_from_above(counts, left);

  counts.assign(kLowMask + 1, 0);
  for_each_value(size, read, [&](std::uint32_t bits) {
    if (bits >> kLowBits == high) {
      ++counts[bits & kLowMask];
    }
  });
  least_ = high << kLowBits | find_from_above(counts, left);
  equals_ = left;
  restart();
}

bool TopValues::takes(float value) {
  const std::uint32_t bits = size_bits(value);
  if (bits != least_) {
    return bits > least_;
  }
  if (equals_left_ == 0) {
    return false;
  }
  --equals_left_;
  return true;
}

}  // namespace entente
