// What P2 says of each task, and P3 of tasks whose rounds are buffered: that a result counts once,
// and where.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "tests/simulation/broker_disk.h"
#include "tests/simulation/fake_training.h"

namespace entente::simulation {

// How many sites they are of.
[[nodiscard]] std::size_t sites_of(const std::vector<const broker::TaskRow*>& tasks);

// What is wrong with an acceptance that is about to be written; nothing when its row is right.
//
//  - A site counts once in a round, and the round is open.
//  - Where rounds are buffered, acceptances are numbered from 1 without a gap. An update goes into
//    the newest round while that collects, else into the next one, and never later than
//    async.staleness_max allows.
[[nodiscard]] std::optional<std::string> fault_of_acceptance(const BrokerDisk& disk,
                                                             const broker::TaskRow& row);

// The update as the merge of that version must take it.
[[nodiscard]] WeightedUpdate as_merged(const JobSpec& spec, Round version,
                                       const broker::TaskRow& task, const BlobId& update);

// What is wrong with a task that is about to be made: where rounds are buffered, a site has one at
// a time, from the newest version.
[[nodiscard]] std::optional<std::string> fault_of_order(const BrokerDisk& disk,
                                                        const broker::TaskRow& row);

// Of sites none of which stalls: what is wrong with a task that is about to be made beside those of
// others, and with a buffer that is closed.
[[nodiscard]] std::optional<std::string> fault_of_crowding(const BrokerDisk& disk,
                                                           const broker::TaskRow& row);
[[nodiscard]] std::optional<std::string> fault_of_closing(const BrokerDisk& disk,
                                                          const broker::RoundRow& row);

}  // namespace entente::simulation
