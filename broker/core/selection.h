// Which of the sites that hold places a round asks, and how many updates it takes.
//
//  - The kind of the job has the say (kinds.h). Mostly a round asks all of them, by id, and takes
//    an answer from each.
//  - With sites.sample, the sites have a turn each in every round (draw.h), and the first of them
//    are asked. Whoever fails, stalls or drains is passed over for the next in turn, until the
//    round has its updates. So the choice of a round is its tasks, which are rows before any site
//    hears of them.
//  - A site that is away is asked all the same when its turn comes, unless it is silent: the draw
//    must not hang on who happens to be connected. A silent one that is connected is given its task
//    beside the others, because only the next order ends a trainer that hangs (cohort.h).
//  - A site whose update was taken rests for sites.sample.separation rounds, without exception.
//
// Pure.
#pragma once

#include <string>
#include <vector>

#include "broker/core/step.h"

namespace entente::broker {

// Of the job's places: updates that a round takes, that it needs at least, and sites that it asks.
[[nodiscard]] std::size_t updates_wanted(const Job& job);
[[nodiscard]] std::size_t quorum(const Job& job);
[[nodiscard]] std::size_t sites_asked(const Job& job);

// By sites.sample: those that do not rest, as the round's draw has put them.
[[nodiscard]] std::vector<SiteId> drawn(const State& state, const Job& job, Round round);

// Whether the site may not be asked in this round, because one of the last has taken its update.
[[nodiscard]] bool rests(const Job& job, const Part& part, Round round);

// The sites at work that hold places and may be asked in this round, in turn.
[[nodiscard]] std::vector<SiteId> in_turn(const State& state, const Job& job, Round round);

// Those whose turn it is at the start of the round.
[[nodiscard]] std::vector<SiteId> first_in_turn(const State& state, const Job& job, Round round);

// Whether the site holds a place and has no task, for the open round has drawn others or has it
// wait (buffering.h).
[[nodiscard]] bool sits_out(const Job& job, const SiteId& site);

// The sentence with which a round begins, naming the sites that were drawn.
[[nodiscard]] std::string describe_start(const Job& job, Round round,
                                         const std::vector<SiteId>& sites);

}  // namespace entente::broker
