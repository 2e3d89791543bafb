// Bulyan (El Mhamdi et al. 2018, arXiv:1802.07927, Section 4): Krum against an attack on the whole
// vector, then a trimmed mean against one that hides in a few coordinates.
//
//  1. theta = n - 2f updates are picked by Krum, one at a time: each pick is taken out and the rest
//     is scored again among themselves. (A single ranking is not Bulyan.)
//  2. Each coordinate is the mean of the theta - 2f picked values nearest to their median.
//
// Needs n >= 4f + 3. Ignores weights. Ties go to the lowest site id, then to the lower value. Pure.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "broker/merge/strategies/pair_distances.h"
#include "broker/merge/strategies/update_values.h"

namespace entente::broker {

// The picks of step 1, in ascending order of their index.
[[nodiscard]] std::vector<std::size_t> bulyan_picks(const PairDistances& distances,
                                                    std::size_t byzantine);

// Step 2 for one block; `rows` are those of the picks.
void bulyan(Rows rows, std::size_t byzantine, std::span<double> merged);

}  // namespace entente::broker
