// The squared Euclidean distances between every two updates, from one pass over them.
//
// A difference is taken in double before it is squared: |x|^2 + |y|^2 - 2xy would cancel, and near
// updates would come out closer than 0. Sums are formed in lanes of a fixed number, block by block:
// the same bits on any instruction set. Pure; any thread.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "broker/merge/strategies/sweep.h"
#include "broker/merge/strategies/update_values.h"

namespace entente::broker {

// A symmetric matrix with a diagonal of 0.
class PairDistances {
 public:
  // `pairs` has the distance of (i, j), i < j, by i, then by j.
  PairDistances(std::size_t updates, std::span<const double> pairs);
  [[nodiscard]] std::size_t size() const { return updates_; }
  [[nodiscard]] double squared(std::size_t i, std::size_t j) const {
    return squares_[i * updates_ + j];
  }

 private:
  std::size_t updates_;
  std::vector<double> squares_;
};

[[nodiscard]] PairDistances pair_distances(Updates updates, Sweep& sweep);

}  // namespace entente::broker
