// Blobs of a job that are of no more use: named by no row that still matters, they are dropped.
//
//  - An update, once its round is merged; one that nobody waits for any more, or the part of it
//  that
//    has arrived; and what a job has not merged when it ends.
//  - The state of the server's optimiser, once a later one has taken its place or the job has
//    ended.
//  - Of a job that keeps its best and its last model only, each other version: as soon as no round
//    goes on from it, no task trains from it and its evaluation is done, since until then it may be
//    the best. The row says so in the same transaction; its receipt stays.
//  - A version that is the model of one site which has taken its word back (cross_evaluation.h).
//  - What another job names too, also as its coordinator's file (files.h), is left alone: jobs of
//  one spec come to the same bytes.
//
// A blob that is forgotten here, because the process has ended in between, goes at the next start.
#pragma once

#include <set>

#include "broker/core/step.h"

namespace entente::broker {

// Those of the blobs that nothing names any more: no model, no update that is still to be merged or
// under way, no state of an optimiser, no file of a coordinator's.
void drop_unnamed(Step& step, std::set<BlobId> blobs);

// Of a round that was merged.
void drop_updates(Step& step, const Job& merged, Round round);
// What a job that ends has not merged, and what is under way for it.
[[nodiscard]] std::set<BlobId> updates_at_hand(const Job& job);

// The one that `round` has left, once a later round has left its own.
void drop_server_state(Step& step, const Job& job, const RoundRow& round);
// That of a job that has ended.
void drop_last_server_state(Step& step, const Job& job);

// Versions that the job does not keep, or may not. A job that has ended awaits no evaluation.
void drop_models(Step& step, Job& job);

}  // namespace entente::broker
