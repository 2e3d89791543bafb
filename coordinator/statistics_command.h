// What a job of the kind "statistics" has found, as a table or as JSON, and the numbers that a
// training job takes from it.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "common/base/refusal.h"
#include "common/domain/job_view.h"
#include "coordinator/broker_client.h"

namespace entente::cli {

// Refuses what a broker says of a job's statistics when it is none. To be called before the others.
[[nodiscard]] Expected<void> check_counted(const JobView& job);

// Prints a row for each column: how many values, mean, spread, range and quantiles, or the most
// frequent categories; and below it what sites have withheld.
void print_statistics(const JobView& job);

// {"columns": {"age": {"role": "number", "count": ..., "quantiles": [...], ...}}}
[[nodiscard]] nlohmann::json statistics_json(const JobView& job);

// Looks up the numbers of `normalise = "stats:JOB"`. Refuses with "normalise_invalid" a job
// that is none of statistics, has not completed, counts another dataset, or has no number.
[[nodiscard]] Expected<void> resolve_normalisation(BrokerClient& client, JobSpec& spec);

// The part of it that knows no broker.
[[nodiscard]] Expected<std::vector<Scale>> scales_from(const JobView& job, const JobSpec& named_by);

}  // namespace entente::cli
