#include "broker/core/scheduler.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <limits>
#include <queue>
#include <tuple>
#include <utility>

#include "broker/core/preemption.h"

namespace entente::broker {
namespace {

constexpr auto kNoLimit = std::numeric_limits<std::uint32_t>::max();

std::uint32_t left_of(const std::optional<std::uint32_t>& quota, std::uint32_t used) {
  return quota ? *quota - std::min(*quota, used) : kNoLimit;
}

// What a coordinator counts by in the order.
double share(const Account& account) { return account.usage + kHeldCounts * account.slots; }

// The waiting jobs of one priority, in the order of rule 1. Claims change it while it is walked.
class Line {
 public:
  Line(std::span<const Applicant> applicants, std::vector<std::size_t> members,
       const std::map<std::string, Account>& accounts, const std::optional<JobId>& first)
      : accounts_(accounts) {
    std::sort(members.begin(), members.end(), [&](std::size_t a, std::size_t b) {
      const auto& left = applicants[a];
      const auto& right = applicants[b];
      return left.number > right.number;
    });
    for (const auto member : members) {
      if (first && applicants[member].job == *first) {
        first_ = member;
      } else {
        behind_[applicants[member].coordinator].push_back(member);
      }
    }
    for (const auto& [coordinator, jobs] : behind_) {
      turns_.push({share(accounts_.at(coordinator)), coordinator});
    }
  }

  std::optional<std::size_t> next() {
    if (const auto first = std::exchange(first_, std::nullopt)) {
      return first;
    }
    while (!turns_.empty()) {
      const auto turn = turns_.top();
      turns_.pop();
      auto& jobs = behind_.at(turn.coordinator);
      if (jobs.empty()) {
        continue;
      }
      const auto now = share(accounts_.at(turn.coordinator));
      if (now > turn.share) {  // it has claimed since
        turns_.push({now, turn.coordinator});
        continue;
      }
      const auto job = jobs.back();
      jobs.pop_back();
      turns_.push(turn);
      return job;
    }
    return std::nullopt;
  }

 private:
  struct Turn {
    double share;
    std::string coordinator;
    bool operator<(const Turn& other) const {  // the least share is on top
      return std::tie(share, coordinator) > std::tie(other.share, other.coordinator);
    }
  };

  const std::map<std::string, Account>& accounts_;
  std::map<std::string, std::vector<std::size_t>> behind_;  // the oldest last
  std::priority_queue<Turn> turns_;
  std::optional<std::size_t> first_;
};

class Planner {
 public:
  Planner(std::vector<SiteSlots> sites, std::map<std::string, Account> accounts, const Quota& quota,
          std::span<const Applicant> applicants, std::span<const Tenant> tenants)
      : sites_(std::move(sites)),
        is_reserved_(sites_.size()),
        accounts_(std::move(accounts)),
        quota_(quota),
        applicants_(applicants),
        tenants_(tenants) {
    for (const auto& applicant : applicants_) {
      accounts_.try_emplace(applicant.coordinator);
    }
  }

  Plan run(const std::optional<JobId>& reserved) {
    std::map<std::int32_t, std::vector<std::size_t>, std::greater<>> lines;
    std::vector<std::size_t> last;
    for (std::size_t i = 0; i < applicants_.size(); ++i) {
      switch (applicants_[i].stage) {
        case Stage::running:
          static_cast<void>(claim(i));
          break;
        case Stage::waiting:
          lines[applicants_[i].priority].push_back(i);
          break;
        case Stage::enough:
          last.push_back(i);
          break;
      }
    }
    for (auto& [priority, members] : lines) {
      Line line(applicants_, std::move(members), accounts_, reserved);
      while (const auto next = line.next()) {
        if (auto waiting = claim(*next)) {
          plan_.waiting.push_back(std::move(*waiting));
        }
      }
    }
    for (const auto applicant : last) {
      static_cast<void>(claim(applicant));
    }
    return std::move(plan_);
  }

 private:
  struct Supply {
    std::uint32_t there = 0;      // that are there
    std::uint32_t free = 0;       // with a free slot
    std::uint32_t claimable = 0;  // with one that no reservation needs
    bool has_mandatory_there = true;
    bool has_mandatory_free = true;
    bool has_mandatory_claimable = true;
  };

  [[nodiscard]] bool is_free(SiteIndex site) const {
    return sites_[site].is_there && sites_[site].free > 0;
  }

  // A running job takes what is reserved as well.
  [[nodiscard]] bool is_claimable(const Applicant& applicant, SiteIndex site) const {
    const bool withholds = is_reserved_[site] && applicant.stage != Stage::running;
    return is_free(site) && sites_[site].free > (withholds ? 1U : 0U);
  }

  [[nodiscard]] Supply supply_for(const Applicant& applicant) const {
    Supply supply;
    supply.has_mandatory_there = !applicant.lacks_mandatory;
    supply.has_mandatory_claimable = !applicant.lacks_mandatory;
    for (std::size_t i = 0; i < applicant.candidates.size(); ++i) {
      const auto site = applicant.candidates[i];
      const bool there = sites_[site].is_there;
      const bool free = is_free(site);
      const bool claimable = is_claimable(applicant, site);
      supply.there += there ? 1 : 0;
      supply.free += free ? 1 : 0;
      supply.claimable += claimable ? 1 : 0;
      if (i < applicant.mandatory) {
        supply.has_mandatory_there = supply.has_mandatory_there && there;
        supply.has_mandatory_free = supply.has_mandatory_free && free;
        supply.has_mandatory_claimable = supply.has_mandatory_claimable && claimable;
      }
    }
    return supply;
  }

  [[nodiscard]] static Wait what_lacks(const Applicant& applicant, const Supply& supply) {
    const auto need = applicant.need;
    if (!supply.has_mandatory_there) {
      return {WaitsFor::mandatory_sites, need, supply.there};
    }
    if (supply.there < need) {
      return {WaitsFor::sites, need, supply.there};
    }
    if (!supply.has_mandatory_free) {
      return {WaitsFor::mandatory_slots, need, supply.free};
    }
    if (supply.free < need) {
      return {WaitsFor::slots, need, supply.free};
    }
    return {WaitsFor::reservation, need, supply.claimable};
  }

  // Claims for the applicant what it may have; otherwise says what it waits for.
  std::optional<Waiting> claim(std::size_t number) {
    const auto& applicant = applicants_[number];
    auto& account = accounts_.at(applicant.coordinator);
    if (!applicant.holds_claims && left_of(quota_.jobs, account.jobs) == 0) {
      return Waiting{number, {WaitsFor::job_quota, *quota_.jobs, 0}, {}};
    }
    const auto slots_left = left_of(quota_.slots, account.slots);
    if (slots_left < applicant.need) {
      return Waiting{number, {WaitsFor::slot_quota, applicant.need, slots_left}, {}};
    }
    const auto supply = supply_for(applicant);
    if (supply.claimable >= applicant.need && supply.has_mandatory_claimable) {
      take(number, std::min(applicant.want, slots_left), account);
      return std::nullopt;
    }
    Waiting waiting{number, what_lacks(applicant, supply), {}};
    const bool lacks_slots_only =
        waiting.wait.what != WaitsFor::sites && waiting.wait.what != WaitsFor::mandatory_sites;
    if (lacks_slots_only && !has_reservation_ && applicant.stage == Stage::waiting) {
      plan_.yields = choose_yields(sites_, applicant, tenants_);
      waiting.reserved = reserve(applicant);
    }
    return waiting;
  }

  void take(std::size_t number, std::uint32_t count, Account& account) {
    const auto& applicant = applicants_[number];
    Claims claims{number, {}};
    for (const auto site : applicant.candidates) {
      if (claims.sites.size() == count) {
        break;
      }
      if (is_claimable(applicant, site)) {
        claims.sites.push_back(site);
      }
    }
    if (claims.sites.empty()) {
      return;
    }
    for (const auto site : claims.sites) {
      --sites_[site].free;
    }
    account.slots += static_cast<std::uint32_t>(claims.sites.size());
    account.jobs += applicant.holds_claims ? 0 : 1;
    plan_.claims.push_back(std::move(claims));
  }

  std::vector<SiteIndex> reserve(const Applicant& applicant) {
    const auto mandatory = applicant.candidates.first(applicant.mandatory);
    std::vector<SiteIndex> reserved(mandatory.begin(), mandatory.end());
    std::vector<bool> comes_free(sites_.size());
    for (const auto tenant : plan_.yields) {
      for (const auto site : tenants_[tenant].sites) {
        comes_free[site] = true;
      }
    }
    const auto rank = [&](SiteIndex site) { return is_free(site) ? 0 : comes_free[site] ? 1 : 2; };
    for (const int wanted : {0, 1, 2}) {
      for (const auto site : applicant.candidates.subspan(applicant.mandatory)) {
        if (reserved.size() < applicant.need && sites_[site].is_there && rank(site) == wanted) {
          reserved.push_back(site);
        }
      }
    }
    for (const auto site : reserved) {
      is_reserved_[site] = true;
    }
    has_reservation_ = true;
    return reserved;
  }

  std::vector<SiteSlots> sites_;
  std::vector<bool> is_reserved_;
  std::map<std::string, Account> accounts_;
  const Quota& quota_;
  std::span<const Applicant> applicants_;
  std::span<const Tenant> tenants_;
  bool has_reservation_ = false;
  Plan plan_;
};

std::string_view is_or_are(std::uint32_t count) { return count == 1 ? "is" : "are"; }
std::string_view has_or_have(std::uint32_t count) { return count == 1 ? "has" : "have"; }

std::string sites_at_once(std::uint32_t count) {
  return count == 1 ? "needs a site" : fmt::format("needs {} sites at once", count);
}

}  // namespace

std::string sentence(const Wait& wait) {
  const auto [what, need, have] = wait;
  switch (what) {
    case WaitsFor::sites:
      return fmt::format("{}; {} that may take part {} there", sites_at_once(need), have,
                         is_or_are(have));
    case WaitsFor::mandatory_sites:
      return "a mandatory site is not there, or has not answered yet";
    case WaitsFor::slots:
      return fmt::format("{}; {} of those that are there {} a free slot", sites_at_once(need), have,
                         has_or_have(have));
    case WaitsFor::mandatory_slots:
      return "a mandatory site has no free slot";
    case WaitsFor::reservation:
      return fmt::format("{}; a job ahead needs some of those with a free slot",
                         sites_at_once(need));
    case WaitsFor::job_quota:
      return fmt::format("its coordinator's quota is {} {} at once", need,
                         need == 1 ? "job" : "jobs");
    case WaitsFor::slot_quota:
      return fmt::format("{}; {} {} left of its coordinator's quota of slots", sites_at_once(need),
                         have, is_or_are(have));
  }
  return {};
}

Plan plan_claims(std::vector<SiteSlots> sites, std::map<std::string, Account> accounts,
                 const Quota& quota, std::span<const Applicant> applicants,
                 std::span<const Tenant> tenants, const std::optional<JobId>& reserved) {
  return Planner(std::move(sites), std::move(accounts), quota, applicants, tenants).run(reserved);
}

}  // namespace entente::broker
