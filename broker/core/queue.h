// The queue: puts the broker's state before the scheduler (scheduler.h), carries out its plan, and
// starts the jobs whose sites have answered.
//
//  - A job waits in `queued`, holding nothing, until it can claim enough sites at once. In
//    `matching` it holds claims, and the sites that it has asked are thinking.
//  - It starts when nobody asked is still thinking, at least `sites.min` have accepted, and all
//    mandatory ones among them. A site that does not answer within the stall window is not waited
//    for: its slot goes to the next one, and its answer counts when it comes.
//  - One that is left with fewer sites than it needs claims others at once, or goes back to the
//    queue and gives its slots back: no job holds slots while it waits for more.
//  - One that is paused is not in the queue. One that has run before prefers the sites that it had.
//  - A running job that is to make way for another (scheduler.h, rule 8) is told so, and goes back
//    to the queue when its round has ended.
//  - When declines leave fewer than `sites.min` candidates, or a mandatory site declines, the job
//    fails at once and its reason names each site's words. A site that has just connected, and has
//    not said yet what it has, counts as a candidate.
#pragma once

#include "broker/core/step.h"

namespace entente::broker {

// Plans until nothing follows from it any more. Called at the end of every step in which something
// has changed that claims may follow from (Queue::is_stale); does nothing in others.
void run_queue(Step& step);

// That it must be able to claim at once.
[[nodiscard]] std::uint32_t sites_needed(const JobSpec& spec);

// What a plan would do now with a job that is queued, or that is not in the queue yet.
struct Outlook {
  std::vector<SiteId> claims;    // it would claim these,
  std::optional<Wait> wait;      // or wait,
  std::vector<JobId> ahead;      // behind these
  std::optional<JobId> holder;   // of the reservation,
  std::vector<SiteId> reserved;  // which are these,
  std::vector<JobId> yields;     // and to whom these give way
};
[[nodiscard]] Outlook foresee(const Step& step, Job& job);

}  // namespace entente::broker
