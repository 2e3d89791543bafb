// The state as coordinators see it.
#pragma once

#include <vector>

#include "broker/core/state.h"
#include "common/domain/job_view.h"

namespace entente::broker {

[[nodiscard]] JobSummary summarise(const Job& job);
[[nodiscard]] std::vector<JobSiteView> site_views(const State& state, const Job& job);
[[nodiscard]] JobView view(const State& state, const Job& job);
[[nodiscard]] SiteView view(const State& state, const Site& site);

}  // namespace entente::broker
