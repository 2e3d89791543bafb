// The scheduler beside the same rules written down as plainly as possible, on random pools.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>
#include <sstream>
#include <tuple>

#include "tests/unit/broker_core/pool.h"

namespace entente::broker {
namespace {

constexpr std::uint64_t kPools = 20'000;

class Naive {
 public:
  Naive(const Pool& pool, std::optional<JobId> reserved)
      : pool_(pool), holder_(std::move(reserved)), sites_(pool.sites), accounts_(pool.accounts) {}

  Plan run() {
    for (std::size_t i = 0; i < pool_.applicants.size(); ++i) {
      if (pool_.applicants[i].stage == Stage::running) {
        attempt(i);
      }
    }
    std::set<std::size_t> left;
    for (std::size_t i = 0; i < pool_.applicants.size(); ++i) {
      if (pool_.applicants[i].stage == Stage::waiting) {
        left.insert(i);
      }
    }
    while (!left.empty()) {
      const auto first = *std::min_element(left.begin(), left.end(),
                                           [&](auto a, auto b) { return place(a) < place(b); });
      left.erase(first);
      if (auto waiting = attempt(first)) {
        plan_.waiting.push_back(*waiting);
      }
    }
    for (std::size_t i = 0; i < pool_.applicants.size(); ++i) {
      if (pool_.applicants[i].stage == Stage::enough) {
        attempt(i);
      }
    }
    return plan_;
  }

 private:
  using Place = std::tuple<std::int32_t, bool, double, std::string, std::uint64_t>;

  Place place(std::size_t i) {
    const auto& job = pool_.applicants[i];
    const auto& account = accounts_[job.coordinator];
    return {-job.priority, job.job != holder_, account.usage + kHeldCounts * account.slots,
            job.coordinator, job.number};
  }

  std::vector<SiteIndex> among(const Applicant& job, std::uint32_t free) const {
    std::vector<SiteIndex> found;
    for (const auto site : job.candidates) {
      if (sites_[site].is_there && sites_[site].free >= free) {
        found.push_back(site);
      }
    }
    return found;
  }

  std::vector<SiteIndex> claimable(const Applicant& job) const {
    std::vector<SiteIndex> found;
    for (const auto site : among(job, 1)) {
      const bool kept = reserved_.contains(site) && job.stage != Stage::running;
      if (!kept || sites_[site].free > 1) {
        found.push_back(site);
      }
    }
    return found;
  }

  static bool has_mandatory(const Applicant& job, const std::vector<SiteIndex>& sites) {
    for (std::uint32_t i = 0; i < job.mandatory; ++i) {
      if (std::find(sites.begin(), sites.end(), job.candidates[i]) == sites.end()) {
        return false;
      }
    }
    return !job.lacks_mandatory;
  }

  std::optional<Waiting> attempt(std::size_t i) {
    const auto& job = pool_.applicants[i];
    auto& account = accounts_[job.coordinator];
    const auto& quota = pool_.quota;
    if (quota.jobs && !job.holds_claims && account.jobs >= *quota.jobs) {
      return Waiting{i, {WaitsFor::job_quota, *quota.jobs, 0}, {}};
    }
    std::uint32_t most = job.want;
    if (quota.slots) {
      const auto left = *quota.slots > account.slots ? *quota.slots - account.slots : 0;
      if (left < job.need) {
        return Waiting{i, {WaitsFor::slot_quota, job.need, left}, {}};
      }
      most = std::min(most, left);
    }
    auto may_have = claimable(job);
    if (may_have.size() < job.need || !has_mandatory(job, may_have)) {
      return explain(i);
    }
    may_have.resize(std::min<std::size_t>(may_have.size(), most));
    if (!may_have.empty()) {
      for (const auto site : may_have) {
        --sites_[site].free;
      }
      account.slots += static_cast<std::uint32_t>(may_have.size());
      account.jobs += job.holds_claims ? 0 : 1;
      plan_.claims.push_back({i, may_have});
    }
    return std::nullopt;
  }

  Waiting explain(std::size_t i) {
    const auto& job = pool_.applicants[i];
    const auto there = among(job, 0);
    const auto free = among(job, 1);
    const auto count = [](const auto& list) { return static_cast<std::uint32_t>(list.size()); };
    if (!has_mandatory(job, there)) {
      return {i, {WaitsFor::mandatory_sites, job.need, count(there)}, {}};
    }
    if (there.size() < job.need) {
      return {i, {WaitsFor::sites, job.need, count(there)}, {}};
    }
    Waiting waiting{i, {WaitsFor::reservation, job.need, count(claimable(job))}, {}};
    if (!has_mandatory(job, free)) {
      waiting.wait = {WaitsFor::mandatory_slots, job.need, count(free)};
    } else if (free.size() < job.need) {
      waiting.wait = {WaitsFor::slots, job.need, count(free)};
    }
    if (reserved_.empty() && job.stage == Stage::waiting) {
      plan_.yields = yields_for(job);
      waiting.reserved = reserve(job, free, freed_by(plan_.yields, there), there);
      reserved_ = {waiting.reserved.begin(), waiting.reserved.end()};
    }
    return waiting;
  }

  bool is_enough(const Applicant& job, const std::vector<std::size_t>& yields) const {
    auto had = among(job, 1);
    for (const auto site : freed_by(yields, among(job, 0))) {
      if (sites_[site].free == 0) {
        had.push_back(site);
      }
    }
    return had.size() >= job.need && has_mandatory(job, had);
  }

  // Rule 8, in its own words.
  std::vector<std::size_t> yields_for(const Applicant& job) const {
    const auto there = among(job, 0);
    std::vector<std::size_t> order;
    for (std::size_t i = 0; i < pool_.tenants.size(); ++i) {
      const auto frees = freed_by({i}, there);
      const bool helps = std::any_of(frees.begin(), frees.end(),
                                     [this](auto site) { return sites_[site].free == 0; });
      if (pool_.tenants[i].priority < job.priority && helps) {
        order.push_back(i);
      }
    }
    std::sort(order.begin(), order.end(), [this](auto a, auto b) {
      const auto& [left, right] = std::tie(pool_.tenants[a], pool_.tenants[b]);
      return left.priority != right.priority ? left.priority < right.priority
                                             : left.number > right.number;
    });
    std::vector<std::size_t> yields;
    while (!is_enough(job, yields)) {
      if (yields.size() == order.size()) {
        return {};
      }
      yields.push_back(order[yields.size()]);
    }
    const auto asked = yields;
    for (auto highest = asked.rbegin(); highest != asked.rend(); ++highest) {
      auto without = yields;
      std::erase(without, *highest);
      if (is_enough(job, without)) {
        yields = without;
      }
    }
    return yields;
  }

  std::vector<SiteIndex> freed_by(const std::vector<std::size_t>& yields,
                                  const std::vector<SiteIndex>& wanted) const {
    std::vector<SiteIndex> freed;
    for (const auto site : wanted) {
      if (std::any_of(yields.begin(), yields.end(), [&](auto tenant) {
            const auto& held = pool_.tenants[tenant].sites;
            return std::find(held.begin(), held.end(), site) != held.end();
          })) {
        freed.push_back(site);
      }
    }
    return freed;
  }

  static std::vector<SiteIndex> reserve(const Applicant& job, const std::vector<SiteIndex>& free,
                                        const std::vector<SiteIndex>& freed,
                                        const std::vector<SiteIndex>& there) {
    std::vector<SiteIndex> reserved(job.candidates.begin(), job.candidates.begin() + job.mandatory);
    for (const auto& list : {free, freed, there}) {
      for (const auto site : list) {
        if (reserved.size() < job.need &&
            std::find(reserved.begin(), reserved.end(), site) == reserved.end()) {
          reserved.push_back(site);
        }
      }
    }
    return reserved;
  }

  const Pool& pool_;
  std::optional<JobId> holder_;
  std::vector<SiteSlots> sites_;
  std::map<std::string, Account> accounts_;
  std::set<SiteIndex> reserved_;
  Plan plan_;
};

struct Draw {
  std::mt19937_64 random;
  std::uint32_t between(std::uint32_t low, std::uint32_t high) {
    return low + static_cast<std::uint32_t>(random() % (high - low + 1));
  }
  bool once_in(std::uint32_t times) { return between(1, times) == 1; }
};

void add_job(Pool& pool, Draw& draw) {
  std::vector<SiteIndex> candidates;
  for (SiteIndex site = 0; site < pool.sites.size(); ++site) {
    if (!draw.once_in(4)) {
      candidates.push_back(site);
    }
  }
  std::shuffle(candidates.begin(), candidates.end(), draw.random);
  const auto mandatory = draw.once_in(3) ? std::min<std::size_t>(candidates.size(), 1) : 0;
  const auto need = draw.between(1, 4);
  auto& job = pool.add(std::string(1, static_cast<char>('a' + draw.between(0, 2))), need,
                       need + draw.between(0, 3), std::move(candidates));
  job.mandatory = static_cast<std::uint32_t>(mandatory);
  job.lacks_mandatory = draw.once_in(20);
  job.priority = static_cast<std::int32_t>(draw.between(0, 2)) - 1;
  job.holds_claims = draw.once_in(8);
  if (job.holds_claims) {
    job.stage = draw.once_in(2) ? Stage::running : Stage::enough;
    job.need = job.stage == Stage::running ? 1 : 0;
    job.mandatory = 0;
    job.lacks_mandatory = false;
  }
}

void add_tenant(Pool& pool, Draw& draw) {
  std::vector<SiteIndex> at;
  for (SiteIndex site = 0; site < pool.sites.size(); ++site) {
    if (draw.once_in(3)) {
      at.push_back(site);
    }
  }
  pool.add_tenant(static_cast<std::int32_t>(draw.between(0, 2)) - 1, std::move(at));
}

Pool draw_pool(Draw& draw) {
  std::vector<std::uint32_t> free(draw.between(1, 8));
  for (auto& slots : free) {
    slots = draw.between(0, 2);
  }
  Pool pool(std::move(free));
  for (auto& site : pool.sites) {
    site.is_there = !draw.once_in(8);
  }
  for (const auto* name : {"a", "b", "c"}) {
    pool.accounts[name] = {30.0 * draw.between(0, 4), draw.between(0, 3), draw.between(0, 2)};
  }
  if (draw.once_in(3)) {
    pool.quota = {draw.between(1, 4), draw.between(1, 8)};
  }
  const auto jobs = draw.between(1, 10);
  for (std::uint32_t i = 0; i < jobs; ++i) {
    add_job(pool, draw);
  }
  for (auto tenants = draw.between(0, 5); tenants > 0; --tenants) {
    add_tenant(pool, draw);
  }
  return pool;
}

std::string text_of(const Plan& plan) {
  std::ostringstream text;
  for (const auto& claims : plan.claims) {
    text << "job " << claims.applicant << " claims";
    for (const auto site : claims.sites) {
      text << " " << site;
    }
    text << "\n";
  }
  for (const auto& waiting : plan.waiting) {
    text << "job " << waiting.applicant << " waits, " << static_cast<int>(waiting.wait.what) << " "
         << waiting.wait.have << "/" << waiting.wait.need << ", reserves";
    for (const auto site : waiting.reserved) {
      text << " " << site;
    }
    text << "\n";
  }
  for (const auto tenant : plan.yields) {
    text << "tenant " << tenant << " yields\n";
  }
  return text.str();
}

TEST(SchedulerProperty, PlansAsTheRulesWrittenDownPlainlyDo) {
  for (std::uint64_t seed = 1; seed <= kPools; ++seed) {
    Draw draw{std::mt19937_64(seed)};
    const auto pool = draw_pool(draw);
    std::optional<JobId> reserved;
    if (draw.once_in(2)) {
      reserved = pool.applicants[draw.random() % pool.applicants.size()].job;
    }
    ASSERT_EQ(text_of(pool.plan(reserved)), text_of(Naive(pool, reserved).run()))
        << "pool of seed " << seed;
  }
}

}  // namespace
}  // namespace entente::broker
