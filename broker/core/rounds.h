// The rounds of a running job.
//
//   round 0: initialize at the lowest accepted site id -> model version 0, unless it is another
//            job's model (following.h)
//   round r: train at every site that holds a place -> updates -> merge -> model version r
//
// That is a job that trains; other kinds of jobs do other things in a round (kinds.h), by the same
// rules:
//
//  - A round closes when every task of it is settled, when there is an update for each place (or
//    all that a sample takes: selection.h), or when the quorum is met and no site that is still
//    open has made progress within the stall window. Below its quorum it never closes. A stalled
//    task stays open until then: whoever answers first counts.
//  - A site that is away when a round starts is selected all the same, unless it was silent
//    already: it gets its task when it is back, and its stall window counts meanwhile. cohort.h has
//    the rules of who takes part.
//  - Below the quorum the job fails when nobody is left who could still send an update.
//  - An update that is found damaged at the merge is asked for again, and the round is open again.
//  - Evaluations run beside the next round, at all sites that have the dataset (evaluations.h).
//    None delays a round or fails the job.
//  - A job that rests (pausing.h) opens and closes no round; its merge ends all the same.
//  - The job completes when the last round is merged and no evaluation is open, or before that when
//    its model has ceased to improve (early_stop.h); the round that has begun is given up then.
#pragma once

#include "broker/core/event.h"
#include "broker/core/step.h"

namespace entente::broker {

// Round 0 of a job that has just started; of one that has rested the round in which it stopped, or
// the next one.
void start_rounds(Step& step, Job& job);

// Closes the round, moves evaluations on and completes the job where the rules above say so. Called
// whenever a task was settled or time has passed.
void advance(Step& step, Job& job);

// Version 0: a site has made the initial model.
void on_initial_model(Step& step, Job& job, const Task& task);

// Every round is merged, and no evaluation is left to do.
[[nodiscard]] bool is_finished(const Job& job);

void on_merge_finished(Step& step, const MergeFinished& merge);

// A round's row has its metrics: the job may stop for them, and a model be of no more use.
void on_evaluated(Step& step, Job& job);

// Starts the merges that were under way when the process ended.
void restart_merges(Step& step, Job& job);

}  // namespace entente::broker
