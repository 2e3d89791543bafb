// A site that says "not yet": people have not approved the job, its hours have not come, the rounds
// of its day are used.
//
//  - It is neither a yes nor a no: an offer stays open and its answer counts when it comes, and an
//    open task's stall window goes on. What the site waits for is its reason in the job, and an
//    event.
//  - But nobody waits with it. Its slot goes back at once, and the job starts without it, or claims
//    another site, or gives the slots of all its sites back and waits in the queue: people may take
//    days, and the slots would lie idle at every site meanwhile.
//  - A site that keeps changing its mind fills no event log: one event a minute.
#pragma once

#include "broker/core/step.h"

namespace entente::broker {

void on_job_waits(Step& step, const SiteId& site, const msg::JobWaits& waits);

}  // namespace entente::broker
