// A site that says "not yet": people have not approved the job, its hours have not come, the rounds
// of its day are used.
//
//  - It is neither a yes nor a no and changes no decision: an offer stays open, and an open task's
//    stall window goes on. What the site waits for is its reason in the job, and an event.
//  - A site that keeps changing its mind fills no event log: one event a minute.
#pragma once

#include "broker/core/step.h"

namespace entente::broker {

void on_job_waits(Step& step, const SiteId& site, const msg::JobWaits& waits);

}  // namespace entente::broker
