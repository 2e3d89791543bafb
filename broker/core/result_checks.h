// What must be right about the numbers of a result for the job to go on from it.
//
// Pure.
#pragma once

#include <optional>

#include "broker/core/rows.h"

namespace entente::broker {

// What the job's strategy cannot do without.
[[nodiscard]] std::optional<Refusal> check_for_strategy(const JobSpec& spec, const TaskRow& task,
                                                        const TaskResult& result);

// Of an evaluation: its metrics, and that its sums are over the examples that it claims.
[[nodiscard]] std::optional<Refusal> check_evaluation(const TaskResult& result);

}  // namespace entente::broker
