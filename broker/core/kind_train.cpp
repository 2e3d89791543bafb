// Jobs that train: in each round many sites train the same model, and their updates are merged.
#include <fmt/format.h>

#include "broker/core/cohort.h"
#include "broker/core/kinds.h"
#include "broker/core/names.h"
#include "broker/core/selection.h"

namespace entente::broker {
namespace {

bool draws(const Job& job) { return job.spec().sites.sample.has_value(); }

Turnout turnout(const Job& job) {
  const auto all = places(job);
  const auto& sites = job.spec().sites;
  const auto& sample = sites.sample;
  return {sample ? entente::sites_asked(*sample, all) : all,
          sample ? entente::updates_wanted(*sample, all) : all, sites.quorum_among(all)};
}

std::vector<SiteId> sites_in_turn(const State& state, const Job& job, Round round) {
  return draws(job) ? drawn(state, job, round) : sites_at_work(state, job, Among::holding_places);
}

std::string describe(const Job& job, const std::vector<SiteId>& asked) {
  const auto begin = fmt::format("training at {}", asked.size());
  return draws(job) ? fmt::format("{} of {} sites, {}", begin, places(job), names(asked))
                    : begin + " sites";
}

}  // namespace

const KindRules kTrainKind{always<TaskKind::train>, true,     draws,        turnout,
                           sites_in_turn,           describe, merge_updates};

}  // namespace entente::broker
