// The broker's data plane: a thread that owns the data ROUTER and moves blobs between peers and the
// blob store.
//
// A peer may put or get exactly what the loop has granted to its identity; everything else is
// refused. A put blob is verified by digest and, when the grant carries a layout, by the guards
// that come before any merge (tensors/update_file.h: layout, finite, norm). Only then does it
// answer BlobStored and report the arrival. Puts of a blob that is already stored are checked and
// answered at once, so a peer that asks again after a crash costs nothing.
//
// All functions may be called from any thread; they post to the data thread's mailbox, except the
// grants, which take effect before they return.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "broker/data_plane/file_inbox.h"
#include "broker/data_plane/grants.h"
#include "common/base/blob_id.h"
#include "common/blob/blob_store.h"
#include "common/domain/messages.h"
#include "common/net/tls_front.h"

namespace entente::broker {

struct DataPlaneHandlers {
  std::function<void(BlobArrived)> on_arrived;
  std::function<void(BlobMoved)> on_moved;
  std::function<void(SessionId)> close_session;      // the peer broke the protocol
  std::function<void(std::string what)> on_failure;  // the disk failed: the broker must stop
};

class DataPlane {
 public:
  // `welcome` is what every session gets in answer to its Hello (its session number filled in).
  DataPlane(BlobStore& store, FileInbox& inbox, msg::Welcome welcome, DataPlaneHandlers handlers);
  ~DataPlane();  // joins the thread; uploads under way keep their resume points
  DataPlane(const DataPlane&) = delete;
  DataPlane& operator=(const DataPlane&) = delete;

  void session_up(net::SessionUp up);
  void session_down(SessionId session);

  void grant(PutGrant grant);
  void grant(GetGrant grant);
  // Ends a grant; a transfer under it is refused at its next message, and a file that was brought
  // under it leaves the inbox.
  void revoke(const std::string& peer, const BlobId& blob);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace entente::broker
