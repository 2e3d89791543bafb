// What a start makes sure of before it goes on with what was: that nothing damaged is used.
//
//  - The audit log is whole, and the rows that it covers are the ones that it saw. If not, the
//    database is damaged, and the broker does not start.
//  - The blobs that running jobs go on from still have the digests that name them; what was damaged
//    is quarantined, and core/damage.h says what becomes of its job.
//  - A coordinator's file that it has brought, and whose row was not written, is recorded: its
//    coordinator has been told that the broker has it, and may be gone.
//
// The cost is one pass over those blobs and over the audit log.
#pragma once

#include "broker/data_plane/file_inbox.h"
#include "broker/store/broker_store.h"
#include "common/base/refusal.h"
#include "common/base/time.h"
#include "common/blob/blob_store.h"

namespace entente::broker {

// Changes `snapshot` as it changes the rows. Refuses with "database_corrupt". Throws as
// BrokerStore::write and BlobStore::vouch_for do.
[[nodiscard]] Expected<void> recover(BrokerStore& store, BlobStore& blobs, FileInbox& inbox,
                                     Snapshot& snapshot, UnixMillis now);

}  // namespace entente::broker
