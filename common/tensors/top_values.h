// Finds the k values of a vector that are largest without their sign, in bounded memory however
// long the vector is: it is read twice, block by block, and only counted.
//
// The bits of a float without its sign are ordered like its size. The first pass counts values by
// their upper half, which tells where the k-th largest is; the second counts those by their lower
// half. Among equals the first ones are in, so that the choice is a function of the values alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>

namespace entente {

// The values [start, start + scratch.size()) of a vector: where they lie, or in `scratch`.
using ReadValues = std::function<const float*(std::size_t start, std::span<float> scratch)>;

// Says of each value, asked for one after the other from the first on, whether it is in.
class TopValues {
 public:
  // `count` is from 1 to `size`; the values are finite.
  TopValues(std::size_t size, std::uint64_t count, const ReadValues& read);

  // Begins again with the first value.
  void restart() { equals_left_ = equals_; }
  [[nodiscard]] bool takes(float value);

 private:
  std::uint32_t least_ = 0;   // bits of the smallest that is in, without its sign
  std::uint64_t equals_ = 0;  // how many of exactly that size are in
  std::uint64_t equals_left_ = 0;
};

}  // namespace entente
