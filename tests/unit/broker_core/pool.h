// A pool of sites and waiting jobs, put together by hand for the scheduler.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "broker/core/scheduler.h"

namespace entente::broker {

struct Pool {
  // Sites with that many free slots, all of them there.
  explicit Pool(std::vector<std::uint32_t> free) {
    for (const auto slots : free) {
      sites.push_back({slots, true});
    }
  }

  Applicant& add(const std::string& coordinator, std::uint32_t need, std::uint32_t want,
                 std::vector<SiteIndex> candidates) {
    auto& applicant = applicants.emplace_back();
    applicant.number = applicants.size();
    applicant.job = JobId::literal("job-" + std::to_string(applicant.number));
    applicant.coordinator = coordinator;
    applicant.need = need;
    applicant.want = want;
    applicant.candidates = lists.emplace_back(std::move(candidates));
    return applicant;
  }

  [[nodiscard]] Plan plan(const std::optional<JobId>& reserved = std::nullopt) const {
    return plan_claims(sites, accounts, quota, applicants, tenants, reserved);
  }

  // A running job that may be preempted.
  void add_tenant(std::int32_t priority, std::vector<SiteIndex> at) {
    const auto number = tenants.size() + 1;
    tenants.push_back(
        {JobId::literal("tenant-" + std::to_string(number)), priority, number, std::move(at)});
  }

  std::vector<SiteSlots> sites;
  std::map<std::string, Account> accounts;
  Quota quota;
  std::deque<std::vector<SiteIndex>> lists;
  std::vector<Applicant> applicants;
  std::vector<Tenant> tenants;
};

}  // namespace entente::broker
