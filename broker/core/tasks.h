// Tasks: handing them out, hearing of them, taking their results.
//
//  - A task is named by (job, round, kind, site, attempt). Repeating a message changes nothing.
//  - A result counts once its blob is stored, checked and its row committed; only then does the
//    site get its verdict. The same key with the same blob is acknowledged again, with another blob
//    it is refused as a conflict, and a key that is no longer current as stale.
//  - A transient failure is tried again at the same site, limits::kAttemptsMax times in all, unless
//    the site is draining.
//  - A site that knows nothing of its promise is asked to join anew, limits::kAttemptsMax times in
//  a
//    round, and then gets the task again. One that takes its promise back has failed its tasks.
//  - What is asked again gets the next attempt number; results of earlier attempts are stale. A
//  task
//    that only rested with its job is the same attempt.
#pragma once

#include "broker/core/event.h"
#include "broker/core/step.h"

namespace entente::broker {

// Makes the task under its next attempt, saves it, and offers it if the site is connected.
Task& open_task(Step& step, Job& job, Round round, TaskKind kind, const SiteId& site);

// Offers every open task of the site again, with a full stall window: it has just connected.
void offer_open_tasks(Step& step, Job& job, const SiteId& site);

// The job goes on after a rest: its open tasks are offered again where it has a slot, and lost
// elsewhere, but for results that are under way.
void take_up_tasks(Step& step, Job& job);

// Takes an open task away: the job has ended or the round went on without it. A site whose task of
// a round had stalled is silent from then on.
void lose_task(Step& step, Job& job, Task& task, std::string reason);

// Ends the open tasks of a site that takes part no longer.
void fail_tasks_of(Step& step, Job& job, const SiteId& site, const std::string& reason);

// Takes an open task away whose site is at work, and tells it so: it may stop.
void give_up_task(Step& step, Job& job, Task& task,
                  std::string reason = "not needed, the round has the updates that it takes");

// Ends an open task of what goes on without it: lost if it has stalled, given up if not. In both
// cases what has arrived of its result is dropped.
void end_without(Step& step, Job& job, Task& task,
                 std::string reason = "not needed, the round has the updates that it takes");

constexpr const char* kDamagedUpdate = "its update was damaged on the broker's disk";

// Takes an accepted update back, mostly because its bytes are damaged; the site may be asked again.
void lose_update(Step& step, Job& job, Task& task, std::string reason = kDamagedUpdate);

void on_task_report(Step& step, const SiteId& site, const msg::TaskReport& report);
void on_result_announce(Step& step, const SiteId& site, const msg::ResultAnnounce& announce);
void on_task_failed(Step& step, const SiteId& site, const msg::TaskFailed& failed);
void on_update_arrived(Step& step, const UpdateArrived& arrived);
void on_transfer_moved(Step& step, const TransferMoved& moved);

}  // namespace entente::broker
