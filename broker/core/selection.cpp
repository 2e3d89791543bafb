#include "broker/core/selection.h"

#include <fmt/format.h>

#include <algorithm>

#include "broker/core/buffering.h"
#include "broker/core/cohort.h"
#include "broker/core/draw.h"
#include "broker/core/kinds.h"
#include "common/domain/seeds.h"

namespace entente::broker {
namespace {

double weight_of(const State& state, const JobSpec& spec, const SiteId& id) {
  const auto& advert = state.sites.at(id).row.advert;
  switch (spec.sites.sample->by) {
    case SampleBy::uniform:
      return 1;
    case SampleBy::samples: {
      const auto* dataset = advert.find(spec.train.dataset);
      return dataset == nullptr ? 0 : static_cast<double>(dataset->examples);
    }
    case SampleBy::preference:
      return state.evaluator->rank(spec.sites.prefer, id, advert);
  }
  return 1;
}

}  // namespace

std::size_t updates_wanted(const Job& job) { return rules_of(job).turnout(job).wanted; }
std::size_t quorum(const Job& job) { return rules_of(job).turnout(job).quorum; }
std::size_t sites_asked(const Job& job) { return rules_of(job).turnout(job).asked; }

bool rests(const Job& job, const Part& part, Round round) {
  const auto& sample = job.spec().sites.sample;
  const auto last = part.row.last_round;
  return sample && last != 0 && last < round && round - last <= sample->separation;
}

std::vector<SiteId> in_turn(const State& state, const Job& job, Round round) {
  return rules_of(job).in_turn(state, job, round);
}

std::vector<SiteId> drawn(const State& state, const Job& job, Round round) {
  std::vector<Lot> lots;
  for (const auto& site : sites_at_work(state, job, Among::holding_places)) {
    if (!rests(job, job.parts.at(site), round)) {
      lots.push_back({site, weight_of(state, job.spec(), site)});
    }
  }
  return draw_order(job_seed(job.spec(), job.row.spec_digest), round, lots);
}

std::vector<SiteId> first_in_turn(const State& state, const Job& job, Round round) {
  const auto asked = sites_asked(job);
  std::vector<SiteId> first;
  std::size_t awaited = 0;
  for (auto& site : in_turn(state, job, round)) {
    if (awaited == asked) {
      break;
    }
    awaited += job.parts.at(site).row.silent ? 0 : 1;
    first.push_back(std::move(site));
  }
  return first;
}

bool sits_out(const Job& job, const SiteId& site) {
  if (rules_of(job).is_buffered) {
    return reason_to_wait(job, site).has_value();
  }
  if (!job.runs() || job.rounds.empty() || !rules_of(job).draws(job) ||
      !job.parts.at(site).row.has_place) {
    return false;
  }
  const auto& [number, round] = *job.rounds.rbegin();
  const auto kind = task_in(job, number);
  const auto task = job.tasks.lower_bound({job.id(), number, kind, site, 1});
  return number > 0 && round.state == RoundState::training &&
         (task == job.tasks.end() || task->first.round != number || task->first.kind != kind ||
          task->first.site != site);
}

std::string describe_start(const Job& job, Round round, const std::vector<SiteId>& sites) {
  return fmt::format("round {} of {}: {}", round, rounds_of(job),
                     rules_of(job).describe(job, sites));
}

}  // namespace entente::broker
