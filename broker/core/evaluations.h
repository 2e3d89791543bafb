// Evaluations: how good a round's model is, over the examples of all sites that can tell.
//
//  - Every site that takes part, has the evaluation dataset and can be heard of is asked as soon as
//    the round is done, beside the next round: no round waits for an evaluation.
//  - A site answers with its metrics and with the sums that they follow from (measures.h). Sums add
//    up, so that the metrics of all are exactly those of their examples taken together. Where one
//    of them knows metrics only, a trainer of its own say, all are combined as means weighted by
//    examples instead: the two are never mixed.
//  - An evaluation closes when all have answered, or when those that are left stall. It counts who
//    has answered. When nobody has, sites that were not asked yet are; when there are none of those
//    left, it closes with no metrics. While nobody can be asked it waits. It never fails the job.
//  - Answers are rows until then: a broker that dies in between asks only those that are missing.
//    Their sums are forgotten when it closes; the sites' metrics stay.
//  - At most kEvaluationsOpenMax of a job are open. Beyond that the oldest closes with whoever has
//    answered.
//
// Pure; used by the loop thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "broker/core/step.h"

namespace entente::broker {

// Rounds of a sample that go on while a site that evaluates is far away: few, and each holds the
// sums of all sites.
constexpr std::size_t kEvaluationsOpenMax = 8;

// Whether the round's model is still to be evaluated.
[[nodiscard]] bool awaits_evaluation(const Job& job, const RoundRow& round);

// Asks, and closes what can be closed. True while one is under way.
bool advance_evaluations(Step& step, Job& job);

// A site has answered: closes the evaluation of the round if that was the last one.
void on_evaluation_answered(Step& step, Job& job, Round round);

// What several sites' answers come to together. `how` is a clause for people about how they were
// combined, and empty when their sums were.
struct Combined {
  Metrics metrics;
  std::uint64_t examples = 0;
  std::string how;
};
[[nodiscard]] Combined combine(const std::vector<const Task*>& answers);

// The round's row gets what the answers to the tasks of round `asked_in` come to, each site's part
// its own metrics; their sums are dropped. The event says who was counted, and what the others
// said. The caller saves the round.
void record_evaluation(Step& step, Job& job, RoundRow& round, Round asked_in,
                       const std::vector<const Task*>& answers);

}  // namespace entente::broker
