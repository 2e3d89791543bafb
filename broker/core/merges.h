// Merges: what one is made from, and the model version that comes of it with its receipt.
#pragma once

#include "broker/core/event.h"
#include "broker/core/step.h"

namespace entente::broker {

// The accepted updates that go into the round's version, by site id and then by the round that they
// began with, with the model and the server state of the round that it goes on from.
void start_merge(Step& step, Job& job, const RoundRow& round);

// The round is done, and its model is a version: saved with its receipt, and audited. `origin`
// names the version of another job that it is a copy of, or the coordinator's file ("file:" and its
// digest).
void publish(Step& step, Job& job, RoundRow& round, const MergedModel& merged,
             std::string origin = {});

}  // namespace entente::broker
