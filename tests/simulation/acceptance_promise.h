// What P2 says of each task, and P3 of tasks whose rounds are buffered: that a result counts once,
// and where.
#pragma once

#include <optional>
#include <string>

#include "tests/simulation/broker_disk.h"

namespace entente::simulation {

// What the job's rounds wait for.
[[nodiscard]] TaskKind task_of_rounds(JobKind kind);

// What is wrong with an acceptance that is about to be written; nothing when its row is right.
//
//  - A site counts once in a round, and the round is open.
//  - Where rounds are buffered, acceptances are numbered from 1 without a gap. An update goes into
//    the newest round while that collects, else into the next one, and never later than
//    async.staleness_max allows.
[[nodiscard]] std::optional<std::string> fault_of_acceptance(const BrokerDisk& disk,
                                                             const broker::TaskRow& row);

// What is wrong with a task that is about to be made: where rounds are buffered, a site has one at
// a time, from the newest version.
[[nodiscard]] std::optional<std::string> fault_of_order(const BrokerDisk& disk,
                                                        const broker::TaskRow& row);

}  // namespace entente::simulation
