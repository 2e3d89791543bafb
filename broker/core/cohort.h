// Who takes part in a job's rounds: places, silence, and who steps in for whom.
//
//  - A job starts with a number of places and keeps that number while it runs. One site holds a
//    place; a site that has accepted the job and holds none stands by.
//  - A site whose task was lost for want of progress is silent until something is heard of it: its
//    advert, a word about the job, bytes that move. No round waits for a silent site. One that is
//    away is left out until it is back. One that is connected is given its task all the same: only
//    the next order ends a trainer that hangs.
//  - Who is back joins the open round at once, unless it has answered in it already.
//  - A place is vacant while its holder is silent or its task stalls, while the holder has failed
//    for good in this round, once it takes part no longer or was asked anew and does not answer,
//    and while it is draining and has nothing left to finish in this round. When the job allows it
//    (sites.replace), the first by the job's preference of those who stand by takes the place, and
//    the slot of the one before is given back; when nobody does, the next eligible site is asked to
//    join the job. Either one claims a slot first (scheduler.h). Until then the holder may come
//    back to its place. Who stands by holds no slot.
//  - Where a round asks some of the sites only (kinds.h) nobody loses a place for failing in one:
//    the next in turn is asked instead.
//  - A mandatory site's place is kept for it: the coordinator wants its data, not somebody's.
//    Rounds close without it when it is silent, as without any other.
//  - A site that is draining finishes its tasks and gets no new ones, in no job.
#pragma once

#include <vector>

#include "broker/core/step.h"

namespace entente::broker {

[[nodiscard]] bool is_mandatory(const Job& job, const SiteId& site);
[[nodiscard]] bool is_stalled(const Step& step, const Job& job, const Task& task);
[[nodiscard]] std::string stalled_for(const Job& job);

// An offer that is not answered yet, and within the stall window.
[[nodiscard]] bool may_still_answer(const Step& step, const Job& job, const Part& part);

// The sites that may be given a task of the job, by id: all that have accepted it, or only those
// that hold a place.
enum class Among : std::uint8_t { accepted, holding_places };
[[nodiscard]] std::vector<SiteId> sites_at_work(const State& state, const Job& job, Among among);

[[nodiscard]] std::size_t places(const Job& job);

// At the start of the job, and when it goes on after a rest: to all that have accepted and hold a
// slot, at most sites.max.
void give_out_places(Step& step, Job& job);

// Lets others take vacant places, and notes how many sites must be claimed where nobody can.
void fill_places(Step& step, Job& job);

// Who may be claimed for a vacant place: those who stand by, then sites that are not in the job
// yet; of each the preferred ones first.
[[nodiscard]] std::vector<SiteIndex> replacements(const Step& step, Job& job);

// Gives a task to the sites whose turn it is and that have none in the open round, as far
// as the round still lacks answers.
void join_open_round(Step& step, Job& job);

// Whether somebody could still join it.
[[nodiscard]] bool may_join(const Step& step, const Job& job);

// The task of the round for the site, under the next attempt. Nobody waits for a silent site's.
void open_round_task(Step& step, Job& job, Round round, const SiteId& site);

// Something was heard of the site that concerns the job: it is no longer silent.
void heard_from(Step& step, Job& job, const SiteId& site);

// How many sites have a result in the current round, or may still get there before the deadline.
[[nodiscard]] std::size_t within_reach(const Step& step, const Job& job);

}  // namespace entente::broker
