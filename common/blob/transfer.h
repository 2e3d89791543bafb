// The client's side of the data plane: put or get one blob over an open data session, resuming
// where an earlier try broke off. Used by agents and by the command line; blocks, so run it on a
// thread of its own. A transfer that was refused or stopped leaves the session usable for the next
// one. All throw std::system_error when this side's disk fails.
#pragma once

#include <atomic>
#include <functional>

#include "common/base/blob_id.h"
#include "common/base/refusal.h"
#include "common/blob/blob_store.h"
#include "common/blob/pace.h"
#include "common/domain/messages.h"
#include "common/net/client_session.h"

namespace entente {

// Called after each chunk with bytes moved so far and in all: progress is liveness.
using TransferProgress = std::function<void(std::uint64_t done, std::uint64_t total)>;

// What ends a transfer early from outside; checked between chunks.
using StopFlag = std::atomic<bool>;

// Sends Hello and waits for Welcome (kHandshakeMax); both planes. The refusal carries the peer's
// reason.
[[nodiscard]] Expected<msg::Welcome> open_data_plane(net::ClientSession& session,
                                                     const msg::Hello& hello);

// Returns after BlobStored: the blob is verified and on the broker's disk. Refuses with
// "transfer_cut" (session ended or nothing moved for kTransferSilenceMax; try again), "stopped", or
// the broker's own refusal. `pace` is what the session's earlier puts have found out about the
// line.
[[nodiscard]] Expected<void> put_blob(net::ClientSession& session, Pace& pace,
                                      const BlobStore& store, const BlobId& blob,
                                      const TransferProgress& progress, const StopFlag& stop);

// Returns when the blob is verified and finished in `store` (at once if it is there already).
[[nodiscard]] Expected<void> get_blob(net::ClientSession& session, BlobStore& store,
                                      const BlobId& blob, const TransferProgress& progress,
                                      const StopFlag& stop);

}  // namespace entente
