// Jobs that evaluate: one round, in which every site that holds a place judges the same model. The
// model is another job's, and the job's version 0; it makes none of its own.
#include <fmt/format.h>

#include "broker/core/cohort.h"
#include "broker/core/evaluations.h"
#include "broker/core/kinds.h"

namespace entente::broker {
namespace {

bool draws(const Job&) { return false; }

Turnout turnout(const Job& job) {
  const auto all = places(job);
  return {all, all, job.spec().sites.quorum_among(all)};
}

std::vector<SiteId> sites_in_turn(const State& state, const Job& job, Round) {
  return sites_at_work(state, job, Among::holding_places);
}

std::string describe(const Job&, const std::vector<SiteId>& asked) {
  return fmt::format("evaluating at {} sites", asked.size());
}

void close(Step& step, Job& job, RoundRow& round) {
  record_evaluation(step, job, round, round_answers(job, round.round));
  round.state = RoundState::done;
  step.save(round);
}

}  // namespace

const KindRules kEvaluateKind{TaskKind::evaluate, false,    draws, turnout,
                              sites_in_turn,      describe, close};

}  // namespace entente::broker
