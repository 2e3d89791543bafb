// What jobs of the kind "statistics" hear from their sites and tell them (kind_statistics.cpp).
#pragma once

#include <optional>

#include "broker/core/state.h"
#include "common/domain/statistics.h"

namespace entente::broker {

// What is wrong with a site's answer of that round.
[[nodiscard]] std::optional<Refusal> check_statistics(const Job& job, Round round,
                                                      const TaskResult& result);

// What its sites count between in this round; nothing in the first.
[[nodiscard]] Sums ranges_for(const Job& job, Round round);

// What is known of all sites together so far.
[[nodiscard]] Sums all_statistics(const Job& job);

}  // namespace entente::broker
