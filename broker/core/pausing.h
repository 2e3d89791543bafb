// Pausing a job and resuming it, and the way back to the queue for one that has run already.
//
//  - A job that rests, paused or in the queue again, holds no slot. Its sites are told to stop
//    (JobPaused), whoever is away when it comes back. Their words stay, and so do updates that were
//    accepted.
//  - What needs no slot goes on: a result that was finished is accepted, a merge ends and its model
//    is published. No round begins, and none closes.
//  - The deadline's clock stands still while a job is paused: it was people who stopped it.
//  - A resumed job waits in the queue with its place by age. It prefers the sites that it had. When
//    it has claimed enough it goes on with the open round: a task that was open is the same task
//    again, and whoever has answered is not asked twice.
//  - Repeating either one changes nothing, but for another reason to pause.
#pragma once

#include "broker/core/step.h"

namespace entente::broker {

void pause(Step& step, Job& job, const std::string& actor, const std::string& reason);
void resume(Step& step, Job& job, const std::string& actor);

// A running job that a round has just ended of, and that is to make way for another one
// (scheduler.h): it goes back to the queue. False when nobody needs its slots.
[[nodiscard]] bool give_way(Step& step, Job& job);

// Tells a site that has connected to stop what it may still do for a job that rests.
void repeat_pause(Step& step, const Job& job, const SiteId& site);

}  // namespace entente::broker
