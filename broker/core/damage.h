// What a start does about blobs that were damaged while nobody looked at them.
//
//  - An update of an open round is taken back as if its site had never answered: the task is open
//    again. Training is a function of the task, so that the same update comes back.
//  - Of a job that trains asynchronously an update leaves its buffer and its task is lost, and so
//    is a task that trains from an older version which is damaged: its site gets another one.
//  - A model cannot be had again, nor the state of the server's optimiser. Whoever reads it next
//    will not find it, and its job fails with that reason.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "broker/core/rows.h"

namespace entente::broker {

// For the log.
struct Damage {
  std::string event;
  std::string sentence;
  JobId job;
  BlobId blob;
};

struct TakenBack {
  std::vector<Row> rows;  // what has changed in the snapshot
  std::vector<Damage> damages;
};

// Asks `is_sound` about every blob that a job goes on from. Changes `snapshot`.
[[nodiscard]] TakenBack take_back_damaged(Snapshot& snapshot,
                                          const std::function<bool(const BlobId&)>& is_sound,
                                          UnixMillis now);

}  // namespace entente::broker
