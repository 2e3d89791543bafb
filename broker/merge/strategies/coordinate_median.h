// The coordinate-wise median (Yin et al. 2018, arXiv:1803.01498, Option I), of one block: for an
// even number of updates the mean of the middle two. Ignores weights. While fewer than half of the
// updates are bad, each coordinate stays within the range of the honest ones: n >= 2f + 1.
//
// The same bits for any order of the rows and any instruction set. Pure; any thread.
#pragma once

#include <span>

#include "broker/merge/strategies/update_values.h"

namespace entente::broker {

// Each row has merged.size() values, all finite; at least one row.
void coordinate_median(Rows rows, std::span<double> merged);

}  // namespace entente::broker
