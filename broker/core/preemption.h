// Which running jobs give way to one that lacks nothing but slots: rule 8 of scheduler.h.
//
// Pure. Complexity: n log n for the order of n tenants, and a pass over the sites that they hold.
#pragma once

#include <span>
#include <vector>

#include "broker/core/scheduler.h"

namespace entente::broker {

// By their numbers among `tenants`, in the order in which they are asked. Empty when the applicant
// could not start with the slots of all of them.
[[nodiscard]] std::vector<std::size_t> choose_yields(std::span<const SiteSlots> sites,
                                                     const Applicant& applicant,
                                                     std::span<const Tenant> tenants);

}  // namespace entente::broker
