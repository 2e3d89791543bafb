#include "site-agent/data/seeded_random.h"

#include <cmath>

#include "common/base/check.h"

namespace entente::agent {

std::uint64_t SeededRandom::below(std::uint64_t bound) {
  ENTENTE_CHECK(bound > 0);
  // The largest multiple of `bound` that fits is the fair part of the range.
  const std::uint64_t unfair = (0 - bound) % bound;
  while (true) {
    const std::uint64_t draw = engine_();
    if (draw >= unfair) {
      return draw % bound;
    }
  }
}

double SeededRandom::uniform() {
  constexpr double kStep = 0x1p-53;
  return (static_cast<double>(engine_() >> 11) + 0.5) * kStep;
}

double SeededRandom::normal() {
  while (true) {
    const double x = 2 * uniform() - 1;
    const double y = 2 * uniform() - 1;
    const double square = x * x + y * y;
    if (square > 0 && square < 1) {
      return x * std::sqrt(-2 * std::log(square) / square);
    }
  }
}

double SeededRandom::log_gamma_draw(double shape) {
  ENTENTE_CHECK(shape > 0);
  if (shape < 1) {
    const double boosted = log_gamma_draw(shape + 1);
    return boosted + std::log(uniform()) / shape;
  }
  const double d = shape - 1.0 / 3.0;
  const double c = 1.0 / std::sqrt(9.0 * d);
  while (true) {
    const double x = normal();
    const double root = 1 + c * x;
    if (root <= 0) {
      continue;
    }
    const double v = root * root * root;
    if (std::log(uniform()) < 0.5 * x * x + d - d * v + d * std::log(v)) {
      return std::log(d) + std::log(v);
    }
  }
}

}  // namespace entente::agent
