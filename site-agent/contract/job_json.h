// The parts of a job that a trainer needs, as JSON with the key names of a job file
// (docs/job-file.md), so that one vocabulary serves coordinators and authors of trainers.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "common/domain/job_spec.h"
#include "site-agent/contract/json_fields.h"

namespace entente::agent::contract {

// {"model": ..., "train": ..., "evaluate": ...}, or {"statistics": ...}
[[nodiscard]] nlohmann::json job_to_json(const JobSpec& spec);
// Checks form and bounds only; whether the model makes sense is resolve_model's business.
[[nodiscard]] JobSpec job_from_json(JsonFields& job, Fault& fault);

}  // namespace entente::agent::contract
