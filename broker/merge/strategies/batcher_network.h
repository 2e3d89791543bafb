// Batcher's odd-even merge sort as a list of comparators (Knuth, The Art of Computer Programming 3,
// 5.2.2, Algorithm M): for n rows about n * log2(n)^2 / 4 of them, in an order that does not depend
// on the data, which is what lets a whole register of columns be sorted at once.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>

namespace entente::broker {

// Up to so many rows a network is unrolled and its rows are held in registers.
constexpr std::size_t kInRegisters = 16;

struct Comparator {
  std::size_t low = 0;  // gets the smaller of the two
  std::size_t high = 0;
};

template <class Exchange>
constexpr void for_each_comparator(std::size_t rows, Exchange exchange) {
  const std::size_t top = rows < 2 ? 0 : std::bit_ceil(rows) / 2;
  for (std::size_t p = top; p > 0; p /= 2) {
    std::size_t q = top;
    std::size_t r = 0;
    std::size_t d = p;
    while (true) {
      for (std::size_t i = 0; i + d < rows; ++i) {
        if ((i & p) == r) {
          exchange(Comparator{i, i + d});
        }
      }
      if (q == p) {
        break;
      }
      d = q - p;
      q /= 2;
      r = p;
    }
  }
}

template <std::size_t kRows>
constexpr std::size_t comparators() {
  std::size_t count = 0;
  for_each_comparator(kRows, [&count](Comparator) { ++count; });
  return count;
}

template <std::size_t kRows>
constexpr auto batcher_network() {
  std::array<Comparator, comparators<kRows>()> network{};
  std::size_t next = 0;
  for_each_comparator(kRows, [&](Comparator comparator) { network[next++] = comparator; });
  return network;
}

}  // namespace entente::broker
