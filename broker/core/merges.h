// Merges: what one is made from, the model version that comes of it with its receipt, and what
// nobody needs any more after it.
#pragma once

#include "broker/core/event.h"
#include "broker/core/step.h"

namespace entente::broker {

// The accepted updates of the round, by site id, with the model and the server state of the round
// before.
void start_merge(Step& step, Job& job, const RoundRow& round);

// The round is done, and its model is a version: saved with its receipt, and audited. `origin`
// names the version of another job that it is a copy of.
void publish(Step& step, Job& job, RoundRow& round, const MergedModel& merged,
             std::string origin = {});

// Updates that were merged and are named by nothing else.
void drop_updates(Step& step, const Job& merged, Round round);

// The state of the server's optimiser that the rounds up to `round` have left, once a later one has
// taken its place or the job has ended. Another job of the same spec may come to the same bytes at
// any moment: then it is left to the next start's clean-up.
void drop_server_state(Step& step, const Job& of, const RoundRow& round);

}  // namespace entente::broker
