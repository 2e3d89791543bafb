// Random numbers that are the same for a seed on every machine and with every standard library.
//
// std::mt19937_64 is specified bit for bit, the standard distributions are not; so those used for
// splits and shuffles are written out here. Not for secrets. One thread per object.
#pragma once

#include <cstdint>
#include <random>
#include <span>
#include <utility>

namespace entente::agent {

class SeededRandom {
 public:
  explicit SeededRandom(std::uint64_t seed) : engine_(seed) {}

  // In [0, bound), without modulo bias. `bound` is at least 1.
  [[nodiscard]] std::uint64_t below(std::uint64_t bound);

  // In (0, 1): never an end of the interval, so its logarithm is finite.
  [[nodiscard]] double uniform();

  // Standard normal, by the polar method (Marsaglia and Bray 1964).
  [[nodiscard]] double normal();

  // The logarithm of a draw from Gamma(shape, 1), `shape` > 0: Marsaglia and Tsang, "A Simple
  // Method for Generating Gamma Variables" (2000), with their boost for shape < 1. The logarithm,
  // because the draw itself underflows for a small shape.
  [[nodiscard]] double log_gamma_draw(double shape);

  // Fisher-Yates.
  template <class T>
  void shuffle(std::span<T> items) {
    for (std::size_t last = items.size(); last > 1; --last) {
      std::swap(items[last - 1], items[below(last)]);
    }
  }

 private:
  std::mt19937_64 engine_;
};

}  // namespace entente::agent
