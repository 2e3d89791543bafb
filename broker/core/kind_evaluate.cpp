// Jobs that evaluate: one round, in which every site that holds a place judges the same model. The
// model is another job's, and the job's version 0; it makes none of its own.
#include <fmt/format.h>

#include "broker/core/evaluations.h"
#include "broker/core/kinds.h"

namespace entente::broker {
namespace {

std::string describe(const Job&, const std::vector<SiteId>& asked) {
  return fmt::format("evaluating at {} sites", asked.size());
}

void close(Step& step, Job& job, RoundRow& round) {
  record_evaluation(step, job, round, round.round, round_answers(job, round.round));
  round.state = RoundState::done;
  step.save(round);
}

}  // namespace

const KindRules kEvaluateKind{
    always<TaskKind::evaluate>, false, asks_all, turnout_of_all, all_in_turn, describe, close};

}  // namespace entente::broker
