// How many steps each site takes in a round of a job with train.local_steps = "balanced", so that
// all of them end at the same time.
//
//  - A site's speed is the steps of its last update over the time from its first word about
//    training to its result. The latest measure counts half and those before the other half, so
//    that one busy hour does not decide. It is a row of the site's part, and outlives a restart.
//  - Who has no speed yet does its nominal work: the job's epochs over its data.
//  - The others would do their nominal work together in T = sum of steps / sum of speeds. Each gets
//    what it does in that time, but no more than limits::kBalanceFactorMax times its nominal steps
//    and no less than that part of them.
//  - Steps are a row of the task before the site hears of it. Who is asked again in the round is
//    asked for the same steps. A result of other steps is refused, so that receipts are true.
//
// Measured speeds are an input of the model that no seed gives: what makes such a model again is
// its receipt, which has the steps of every update.
#pragma once

#include <cstdint>

#include "broker/core/state.h"

namespace entente::broker {

// Of the site's task in the current round; 0: those of the job's epochs.
[[nodiscard]] std::uint64_t steps_for(const State& state, const Job& job, const SiteId& site);

// The site has reported on the task: the clock of its training starts with the first such word.
void note_training(Task& task, Monotonic now);

// The task has ended with so many steps. Its speed counts when its result is accepted.
void measure(Task& task, std::uint64_t steps, Monotonic now);

void note_speed(PartRow& part, const Task& task);

}  // namespace entente::broker
