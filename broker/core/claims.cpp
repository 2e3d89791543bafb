#include "broker/core/claims.h"

#include <chrono>

#include "broker/core/cohort.h"
#include "broker/core/jobs.h"
#include "common/base/check.h"

namespace entente::broker {
namespace {

constexpr Millis kSaveUsageEvery = std::chrono::minutes{1};

Usage& usage_of(State& state, const std::string& coordinator, Monotonic now) {
  const auto [entry, is_new] = state.usage.try_emplace(coordinator);
  if (is_new) {
    entry->second.row.coordinator = coordinator;
    entry->second.as_of = now;
  }
  return entry->second;
}

void count(Usage& usage, Job& job, Site& site) {
  ++site.claimed;
  ++usage.slots;
  usage.jobs += job.claims++ == 0 ? 1 : 0;
}

Usage& settled_usage(Step& step, const Job& job) {
  auto& usage = usage_of(step.state, job.row.coordinator, step.now.monotonic);
  settle(usage, step.now.monotonic, step.state.queue.settings.half_life);
  step.save(usage.row);
  step.state.queue.is_stale = true;
  return usage;
}

}  // namespace

void claim(Step& step, Job& job, const SiteId& id) {
  auto& part = job.parts[id];
  ENTENTE_CHECK(!part.row.claimed);
  count(settled_usage(step, job), job, step.state.sites.at(id));
  part.row.job = job.id();
  part.row.site = id;
  part.row.claimed = true;
  step.save(part);
  if (part.row.enrolment == Enrolment::offered) {
    part.offered_at = step.now.monotonic;
    repeat_offer(step, job, id);
  }
}

void release(Step& step, Job& job, Part& part) {
  if (!part.row.claimed) {
    return;
  }
  auto& usage = settled_usage(step, job);
  --usage.slots;
  --step.state.sites.at(part.row.site).claimed;
  usage.jobs -= --job.claims == 0 ? 1 : 0;
  part.row.claimed = false;
  step.save(part);
}

void release_all(Step& step, Job& job) {
  for (auto& [id, part] : job.parts) {
    release(step, job, part);
  }
}

bool release_unanswered(Step& step, Job& job) {
  bool found = false;
  for (auto& [id, part] : job.parts) {
    if (part.row.claimed && !part.row.has_place && part.row.enrolment == Enrolment::offered &&
        !may_still_answer(step, job, part)) {
      release(step, job, part);
      found = true;
    }
  }
  return found;
}

void save_usage(Step& step) {
  auto& saved_at = step.state.queue.usage_saved_at;
  if (step.now.monotonic - saved_at < kSaveUsageEvery) {
    return;
  }
  saved_at = step.now.monotonic;
  for (auto& [coordinator, usage] : step.state.usage) {
    if (usage.slots > 0) {
      settle(usage, step.now.monotonic, step.state.queue.settings.half_life);
      step.save(usage.row);
    }
  }
}

void count_claims(State& state, Monotonic now) {
  for (auto& [id, job] : state.jobs) {
    for (const auto& [site, part] : job.parts) {
      if (part.row.claimed) {
        count(usage_of(state, job.row.coordinator, now), job, state.sites.at(site));
      }
    }
  }
}

}  // namespace entente::broker
