// The order in which a round draws its sites: weighted sampling without replacement.
//
//  - Algorithm A of Efraimidis and Spirakis, "Weighted random sampling with a reservoir",
//    Information Processing Letters 97 (2006): each site draws a number u from (0, 1], and those
//    with the largest u^(1/weight) are drawn. That is the order of -log2(u) / weight, ascending.
//  - u follows from the job's seed, the round and the site's name. Nobody's turn hangs on who else
//    is there: when a site leaves, the others keep their order, and the next one steps in.
//  - The logarithm is made of integers, by squaring (Knuth, TAOCP 1, section 1.2.2), and IEEE 754
//    fixes every bit of the one division: the order does not depend on a machine's mathematics.
//  - A site whose weight is not a number above 0 comes after all that have one.
//
// Pure. Complexity: n log n.
#pragma once

#include <cstdint>
#include <vector>

#include "common/base/ids.h"

namespace entente::broker {

struct Lot {
  SiteId site;
  double weight = 1;
};

[[nodiscard]] std::vector<SiteId> draw_order(std::uint64_t job_seed, Round round,
                                             const std::vector<Lot>& lots);

}  // namespace entente::broker
