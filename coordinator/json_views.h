// The broker's answers as JSON, for --json. Keys are the field names of schemas/coordinator.capnp
// in snake_case; digests are hex, times milliseconds since 1970.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <vector>

#include "common/domain/audit.h"
#include "common/domain/job_view.h"
#include "common/domain/messages.h"

namespace entente::cli {

// By how many versions the update came late: what a merge goes on from is the version before, but
// for a model of a single site (kind "cross_evaluate"), which nothing else is merged into.
[[nodiscard]] Round staleness(const ModelView& model, const Contribution& part);

[[nodiscard]] nlohmann::json to_json(const JobSummary& job);
[[nodiscard]] nlohmann::json to_json(const JobView& job);
[[nodiscard]] nlohmann::json to_json(const Explanation& explanation);
[[nodiscard]] nlohmann::json to_json(const JobEvent& event);
[[nodiscard]] nlohmann::json to_json(const JobSiteView& site);
[[nodiscard]] nlohmann::json to_json(const SiteView& site);
[[nodiscard]] nlohmann::json to_json(const ModelView& model);
[[nodiscard]] nlohmann::json to_json(const AuditEntry& entry);
[[nodiscard]] nlohmann::json to_json(const std::vector<JobSummary>& jobs);
[[nodiscard]] nlohmann::json to_json(const std::vector<SiteView>& sites);
[[nodiscard]] nlohmann::json to_json(const std::vector<ModelView>& models);
[[nodiscard]] nlohmann::json to_json(const std::vector<AuditEntry>& entries);

}  // namespace entente::cli
