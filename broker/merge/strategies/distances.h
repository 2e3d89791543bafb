// Squared Euclidean norms of updates, and distances to a center.
//
// A difference is taken in double before it is squared: |x|^2 + |y|^2 - 2xy would cancel, and near
// values would come out closer than 0. Sums are formed in lanes of a fixed number, block by block:
// the same bits on any instruction set. Pure; any thread.
#pragma once

#include <cstddef>
#include <vector>

#include "broker/merge/strategies/sweep.h"
#include "broker/merge/strategies/update_values.h"

namespace entente::broker {

// |x_i|^2 of every update, from one pass over them.
[[nodiscard]] std::vector<double> squared_norms(Updates updates, Sweep& sweep);

// Of one block: the sum of (x - center)^2.
[[nodiscard]] double squared_distance(const float* x, const double* center, std::size_t count);

}  // namespace entente::broker
