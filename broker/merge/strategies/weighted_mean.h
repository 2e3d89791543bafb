// The weighted mean of FedAvg (McMahan et al. 2017, arXiv:1602.05629, Algorithm 1), of one block.
//
//   merged = sum_i w_i * x_i / divisor        FedAvg: divisor = sum_i w_i
//
// Accumulates in double in the order of the rows (by site id), each operation rounded by itself:
// the bits depend neither on arrival order nor on the instruction set. Every rule that ends in a
// combination of the updates (Krum's picks, RFA, q-FedAvg) ends here. Pure; any thread.
#pragma once

#include <span>

#include "broker/merge/strategies/update_values.h"

namespace entente::broker {

// `rows` and `weights` have the same length; each row has merged.size() values.
void weighted_mean(Rows rows, std::span<const double> weights, double divisor,
                   std::span<double> merged);

}  // namespace entente::broker
