// Krum and Multi-Krum (Blanchard et al. 2017, arXiv:1703.02757): an update is as good as the
// distance to its nearest neighbours is small.
//
//   score_i = sum of the n - f - 2 smallest |x_i - x_j|^2, j != i
//
// Krum takes the update with the lowest score, Multi-Krum the mean of the m lowest. With n >= 2f +
// 3 and at most f bad updates, the pick stays near the honest ones. Ties go to the lowest site id.
// Pure.
#pragma once

#include <cstddef>
#include <vector>

#include "broker/merge/strategies/pair_distances.h"

namespace entente::broker {

// The scores of the updates in `among` as if there were no others; `byzantine` is f.
[[nodiscard]] std::vector<double> krum_scores(const PairDistances& distances,
                                              const std::vector<std::size_t>& among,
                                              std::size_t byzantine);

// The `picks` updates with the lowest scores, in ascending order of their index. Needs
// n >= 2 * byzantine + 3 and 1 <= picks <= n.
[[nodiscard]] std::vector<std::size_t> multi_krum(const PairDistances& distances,
                                                  std::size_t byzantine, std::size_t picks);

}  // namespace entente::broker
