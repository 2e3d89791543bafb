// The coordinate-wise trimmed mean (Yin et al. 2018, arXiv:1803.01498, Option II), of one block:
// the `trim` largest and the `trim` smallest values of each coordinate are left out and the rest is
// averaged. Ignores weights. Up to `trim` bad updates cannot move a coordinate out of the range of
// the honest ones.
//
// Adds the values up in ascending order: the same bits for any order of the rows and any
// instruction set. Pure; any thread.
#pragma once

#include <cstddef>
#include <span>

#include "broker/merge/strategies/update_values.h"

namespace entente::broker {

// Each row has merged.size() values, all finite; 2 * trim < rows.size().
void trimmed_mean(Rows rows, std::size_t trim, std::span<double> merged);

}  // namespace entente::broker
