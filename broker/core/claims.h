// Claims: the slots of sites that jobs hold. The scheduler decides who gets them (scheduler.h);
// this is what happens then, and what it costs the coordinator (usage.h).
//
//  - A job holds one slot at each of its sites, from the moment it asks the site to its end, or
//    until it rests (pausing.h).
//  - A site that declines, or does not answer within the stall window, holds no slot for it. A late
//    answer counts all the same: the site then stands by without a slot.
//  - A job that goes back to the queue gives its slots back. The sites' words stay: they are not
//    asked again.
#pragma once

#include "broker/core/step.h"

namespace entente::broker {

// Claims a slot of the site for the job, and asks the site unless it has accepted already.
void claim(Step& step, Job& job, const SiteId& site);

void release(Step& step, Job& job, Part& part);
void release_all(Step& step, Job& job);

// Gives back the slots of sites that have not answered within the stall window. True if there were
// any.
bool release_unanswered(Step& step, Job& job);

// Saves once a minute what coordinators use: that much may be forgotten in a crash.
void save_usage(Step& step);

// Counts again what the parts say: at the start of the process.
void count_claims(State& state, Monotonic now);

}  // namespace entente::broker
