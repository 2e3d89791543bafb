// Files that a job's coordinator brings (common/domain/brought_files.h).
//
//  - Until all of them have arrived the job is queued and out of the competition, and the clock of
//    its deadline stands still (following.h): the time is its coordinator's, not its own.
//  - Only who has submitted the job may put them. The grants are given with the submission, with a
//    repeated one, and whenever that coordinator connects: they are not remembered.
//  - A file has arrived once its row is committed. What was stored and not recorded, because the
//    process has ended in between, is recorded at the next start (service/recovery.h).
//  - A file of the right digest that is not what the job needs ends the job: no other bytes have
//    that digest. Other bytes than were announced end nothing, the right ones may follow.
//  - Its coordinator must bring all bytes, also when the broker has them from somebody else
//    (data_plane/file_inbox.h), unless an earlier job shows that it has brought them before.
//  - What no job needs any more is dropped, with what has arrived of it and its grant.
#pragma once

#include "broker/core/event.h"
#include "broker/core/step.h"

namespace entente::broker {

[[nodiscard]] bool awaits_files(const Job& job);

// "waits for its coordinator's file, 12.0 MB"
[[nodiscard]] std::string awaited_files(const Job& job);

// What keeps such a job of this coordinator from being submitted.
[[nodiscard]] std::optional<Refusal> check_files(const State& state, const std::string& coordinator,
                                                 const JobSpec& spec);

// Lets the job's coordinator put what the job awaits.
void grant_files(Step& step, const Identity& coordinator, const Job& job);
// The same for all of its jobs: it has just connected.
void grant_files(Step& step, const Identity& coordinator);

// Whether the arrival was one that a job awaits.
bool on_file_arrived(Step& step, const UpdateArrived& arrived);

// Whether the job has not ended and names it as such a file, arrived or not.
[[nodiscard]] bool is_brought(const Job& job, const BlobId& blob);

// Of a job that has ended.
void drop_files(Step& step, const Job& job);

}  // namespace entente::broker
