// The rounds of a job that trains asynchronously, where they differ from those of others
// (rounds.h).
//
//  - Round r collects the updates that become version r of the model: its buffer. It closes when
//    async.buffer updates have been accepted into it, from sites.quorum sites at the least, and
//    merges them on top of version r - 1, each lessened by its staleness.
//  - The key of a task names the round that was open when it began: it trains from the version
//    before that one. Its update goes into the buffer of the newest round, or of the next one while
//    that merges or has all that it takes: a round may open with more than async.buffer.
//    Acceptances are numbered; number and round are in the task's row, committed with the
//    acceptance, and never change. So the model is a function of rows, whatever crashes in between.
//  - A site that has answered gets its next task at once, from the newest version, also in the same
//    round, and then under the next attempt and with another seed. While a round merges it waits:
//    the version that is about to come is worth the moment.
//  - A site waits, too, while async.concurrency others train (whoever has waited longest goes
//    next), and while the buffer has its updates from too few sites and this one is among them.
//  - A task that lags more than async.staleness_max versions behind is given up when the round
//    opens that makes it so, and its site begins anew. An update that comes later is stale.
//  - With fewer updates than the buffer takes, a round closes when its quorum is there and no site
//    is at work that makes progress.
//  - A task that stalls at a site that is away, or paused by its people, stays open all the same,
//    until it lags too far: its update counts when it comes. One at a site that is there hangs; it
//    is lost when the next round opens, and the next order ends it.
//  - An update that is found damaged leaves its buffer, and the round is open again. Its site is at
//    work on another task already, or gets one.
//
// After Nguyen et al., "Federated learning with buffered asynchronous aggregation" (2022), FedBuff.
//
// Pure; used by the loop thread.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>

#include "broker/core/step.h"

namespace entente::broker {

// The site's open task; with none, its newest of those that began with the open round. Null: it has
// neither.
[[nodiscard]] const Task* buffered_task_of(const Job& job, const SiteId& site);

// What a round has taken.
struct Buffer {
  std::size_t updates = 0;
  std::set<SiteId> sites{};  // that they are of
};
[[nodiscard]] Buffer buffer_of(const Job& job, Round round);

// How many updates of the site, of tasks that began in the same round before this one, have been
// taken: what sets the task's seed apart. Follows from acceptances alone.
[[nodiscard]] std::uint32_t taken_before(const Job& job, const TaskKey& key);

// Why no version could take what the task sends, now or later. Nothing also for a task of another
// kind of round.
[[nodiscard]] std::optional<std::string> why_useless(const Job& job, const Task& task);

// Notes in the row of a task that is being accepted, and is not useless, where its update goes, and
// its number.
void enter_buffer(Job& job, Task& task);

// Of a task that has entered a buffer, for its job's events and for the audit log; in the latter
// nothing of any other task.
[[nodiscard]] std::string acceptance_text(const Job& job, const TaskRow& task);
[[nodiscard]] std::string acceptance_detail(const TaskRow& task);

// The newest round has just opened: forgets tasks that are of no more use, and gives up those that
// lag too far or hang.
void open_buffer(Step& step, Job& job);

// Closes the open round when it has what it takes.
void try_close_buffer(Step& step, Job& job, RoundRow& round);

// Gives every site a task that has none and may have one.
void keep_training(Step& step, Job& job);

// Why the site has no task although it takes part; nothing when it has one, or nobody knows.
[[nodiscard]] std::optional<std::string> reason_to_wait(const Job& job, const SiteId& site);

// Drops the tasks that neither the open round nor a buffer needs, from those of a snapshot say.
void forget_settled(Job& job);

}  // namespace entente::broker
