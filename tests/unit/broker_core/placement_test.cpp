// The scheduler at work for weeks of simulated time: 1,000 jobs with random needs on 100 sites, of
// five coordinators. Nobody starves, what must hold of the claims holds, shares are fair, and the
// slots are used nearly as well as by a list scheduler that knows how long every job will take.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>

#include "broker/core/usage.h"
#include "tests/unit/broker_core/pool.h"

namespace entente::broker {
namespace {

using std::chrono::hours;
using std::chrono::minutes;

constexpr std::size_t kSites = 100;
constexpr std::size_t kJobs = 1000;
constexpr std::size_t kCoordinators = 5;
constexpr Millis kHalfLife = hours(7 * 24);

struct TraceJob {
  std::string coordinator;
  std::uint32_t need = 1;
  std::vector<SiteIndex> candidates;  // the excluded sites left out
  std::uint32_t mandatory = 0;
  Millis length{};
  Monotonic submitted{};
};

struct Trace {
  std::vector<std::uint32_t> slots;
  std::vector<TraceJob> jobs;  // in the order of submission
};

// `backlog`: all are submitted at once; otherwise over some days.
Trace draw_trace(std::uint64_t seed, bool backlog) {
  std::mt19937_64 random(seed);
  const auto between = [&random](std::uint64_t low, std::uint64_t high) {
    return low + random() % (high - low + 1);
  };
  Trace trace;
  for (std::size_t i = 0; i < kSites; ++i) {
    trace.slots.push_back(static_cast<std::uint32_t>(between(1, 3)));
  }
  for (std::size_t i = 0; i < kJobs; ++i) {
    TraceJob job;
    job.coordinator = "coordinator-" + std::to_string(i % kCoordinators);
    for (SiteIndex site = 0; site < kSites; ++site) {
      if (between(1, 4) > 1) {
        job.candidates.push_back(site);
      }
    }
    std::shuffle(job.candidates.begin(), job.candidates.end(), random);
    job.need = static_cast<std::uint32_t>(between(1, 5) == 1 ? between(20, 60) : between(1, 12));
    job.mandatory = static_cast<std::uint32_t>(between(1, 5) == 1 ? 1 : 0);
    job.length = minutes(between(10, 240));
    job.submitted = Monotonic(backlog ? Millis(0) : Millis(minutes(between(0, 4 * 24 * 60))));
    trace.jobs.push_back(std::move(job));
  }
  std::stable_sort(trace.jobs.begin(), trace.jobs.end(),
                   [](const auto& a, const auto& b) { return a.submitted < b.submitted; });
  return trace;
}

// Runs a trace to its end, one event after the other.
class Placement {
 public:
  explicit Placement(const Trace& trace) : trace_(trace), started_(trace.jobs.size()) {
    for (const auto slots : trace.slots) {
      sites_.push_back({slots, true});
    }
    for (std::size_t i = 0; i < trace.jobs.size(); ++i) {
      arrivals_.emplace(trace.jobs[i].submitted, i);
    }
  }

  void run() {
    while (!arrivals_.empty() || !ends_.empty()) {
      now_ = std::min(arrivals_.empty() ? Monotonic::max() : arrivals_.begin()->first,
                      ends_.empty() ? Monotonic::max() : ends_.begin()->first);
      for (; !arrivals_.empty() && arrivals_.begin()->first == now_;
           arrivals_.erase(arrivals_.begin())) {
        waiting_.push_back(arrivals_.begin()->second);
      }
      for (; !ends_.empty() && ends_.begin()->first == now_; ends_.erase(ends_.begin())) {
        end(ends_.begin()->second);
      }
      plan();
    }
  }

  // Of every job, at its start; fails the test where a rule is broken.
  void start(std::size_t job, const std::vector<SiteIndex>& claims) {
    const auto& spec = trace_.jobs[job];
    EXPECT_EQ(claims.size(), spec.need);
    EXPECT_EQ(std::set(claims.begin(), claims.end()).size(), claims.size());
    for (std::uint32_t i = 0; i < spec.mandatory; ++i) {
      EXPECT_NE(std::find(claims.begin(), claims.end(), spec.candidates[i]), claims.end());
    }
    for (const auto site : claims) {
      EXPECT_NE(std::find(spec.candidates.begin(), spec.candidates.end(), site),
                spec.candidates.end())
          << "a site that is excluded";
      ASSERT_GT(sites_[site].free, 0U);
      --sites_[site].free;
    }
    if (const auto limit = start_by_.find(job); limit != start_by_.end()) {
      EXPECT_LE(now_, limit->second) << "the reservation was delayed";
    }
    auto& usage = settled(spec.coordinator);
    usage.slots += spec.need;
    ++usage.jobs;
    std::erase(waiting_, job);
    held_[job] = claims;
    started_[job] = now_;
    ends_.emplace(now_ + spec.length, job);
  }

  [[nodiscard]] Monotonic finished() const { return now_; }
  [[nodiscard]] std::size_t reservations() const { return start_by_.size(); }

  // Site-seconds that each coordinator's jobs held before `until`.
  [[nodiscard]] std::map<std::string, double> used(Monotonic until) const {
    std::map<std::string, double> used;
    for (std::size_t i = 0; i < trace_.jobs.size(); ++i) {
      const auto& job = trace_.jobs[i];
      const auto end = std::min(until, *started_[i] + job.length);
      if (end > *started_[i]) {
        used[job.coordinator] +=
            std::chrono::duration<double>(end - *started_[i]).count() * job.need;
      }
    }
    return used;
  }
  // When the first coordinator had no job left that waits.
  [[nodiscard]] Monotonic contended_until() const {
    std::map<std::string, Monotonic> last;
    for (std::size_t i = 0; i < trace_.jobs.size(); ++i) {
      auto& latest = last[trace_.jobs[i].coordinator];
      latest = std::max(latest, *started_[i]);
    }
    return std::min_element(last.begin(), last.end(),
                            [](const auto& a, const auto& b) { return a.second < b.second; })
        ->second;
  }
  [[nodiscard]] bool has_everybody_started() const {
    return std::all_of(started_.begin(), started_.end(),
                       [](const auto& moment) { return moment.has_value(); });
  }

  virtual ~Placement() = default;

 protected:
  virtual void plan() {
    Pool pool({});
    pool.sites = sites_;
    for (auto& [coordinator, usage] : usage_) {
      pool.accounts[coordinator] = {usage_at(usage, now_, kHalfLife), usage.slots, usage.jobs};
    }
    for (const auto job : waiting_) {
      const auto& spec = trace_.jobs[job];
      auto& applicant = pool.add(spec.coordinator, spec.need, spec.need, spec.candidates);
      applicant.number = job;
      applicant.job = JobId::literal("job-" + std::to_string(job));
      applicant.mandatory = spec.mandatory;
    }
    const auto plan = pool.plan(reserved_);
    for (const auto& claims : plan.claims) {
      start(pool.applicants[claims.applicant].number, claims.sites);
    }
    reserved_.reset();
    for (const auto& waiting : plan.waiting) {
      if (!waiting.reserved.empty()) {
        const auto& holder = pool.applicants[waiting.applicant];
        reserved_ = holder.job;
        start_by_.emplace(holder.number, ends_.rbegin()->first);
      }
    }
  }

  const Trace& trace_;
  std::vector<SiteSlots> sites_;
  std::vector<std::size_t> waiting_;

 private:
  Usage& settled(const std::string& coordinator) {
    auto& usage = usage_[coordinator];
    settle(usage, now_, kHalfLife);
    return usage;
  }

  void end(std::size_t job) {
    for (const auto site : held_.at(job)) {
      ++sites_[site].free;
    }
    held_.erase(job);
    auto& usage = settled(trace_.jobs[job].coordinator);
    usage.slots -= trace_.jobs[job].need;
    --usage.jobs;
  }

  Monotonic now_{};
  std::multimap<Monotonic, std::size_t> arrivals_;
  std::multimap<Monotonic, std::size_t> ends_;
  std::map<std::size_t, std::vector<SiteIndex>> held_;
  std::map<std::string, Usage> usage_;
  std::optional<JobId> reserved_;
  // Of those that have held the reservation: the end of all jobs that ran when they came to it.
  std::map<std::size_t, Monotonic> start_by_;
  std::vector<std::optional<Monotonic>> started_;
};

// Graham's list scheduling by somebody who knows every length: the largest work first, whatever
// fits, with no regard for age, shares or starvation.
class Clairvoyant final : public Placement {
 public:
  using Placement::Placement;

 private:
  void plan() override {
    auto jobs = waiting_;
    std::sort(jobs.begin(), jobs.end(), [this](std::size_t a, std::size_t b) {
      const auto work = [this](std::size_t job) {
        return trace_.jobs[job].length.count() * trace_.jobs[job].need;
      };
      return std::pair(work(a), b) > std::pair(work(b), a);
    });
    for (const auto job : jobs) {
      const auto& spec = trace_.jobs[job];
      std::vector<SiteIndex> claims;
      for (std::size_t i = 0; i < spec.candidates.size() && claims.size() < spec.need; ++i) {
        if (sites_[spec.candidates[i]].free > 0) {
          claims.push_back(spec.candidates[i]);
        } else if (i < spec.mandatory) {
          break;
        }
      }
      if (claims.size() == spec.need) {
        start(job, claims);
      }
    }
  }
};

TEST(Placement, EverybodyStartsAndAReservationIsNeverDelayed) {
  const auto trace = draw_trace(1, false);
  Placement placement(trace);
  placement.run();
  EXPECT_TRUE(placement.has_everybody_started());
  EXPECT_GT(placement.reservations(), 20U) << "or the bound was not put to a test";
}

TEST(Placement, SharesAreFairWithinFivePercentWhileEverybodyWaits) {
  const auto trace = draw_trace(2, true);
  Placement placement(trace);
  placement.run();
  const auto used = placement.used(placement.contended_until());
  ASSERT_EQ(used.size(), kCoordinators);
  double total = 0;
  for (const auto& [coordinator, seconds] : used) {
    total += seconds;
  }
  for (const auto& [coordinator, seconds] : used) {
    EXPECT_NEAR(seconds / total * kCoordinators, 1, 0.05) << coordinator;
  }
}

TEST(Placement, UsesTheSlotsNearlyAsWellAsWhoKnowsEveryLength) {
  const auto trace = draw_trace(3, true);
  Placement placement(trace);
  placement.run();
  Clairvoyant clairvoyant(trace);
  clairvoyant.run();
  // Both do the same work, so that the ratio of utilisations is that of the times it took.
  const double ratio = std::chrono::duration<double>(clairvoyant.finished() - Monotonic{}) /
                       std::chrono::duration<double>(placement.finished() - Monotonic{});
  EXPECT_GE(ratio, 0.9);
  RecordProperty("utilisation_of_clairvoyant", std::to_string(ratio));
}

}  // namespace
}  // namespace entente::broker
