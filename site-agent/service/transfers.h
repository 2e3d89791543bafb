// Moves blobs between the site and the broker, one at a time over each data session, a bounded
// number at once. Blocks only its own threads; progress and ends arrive in the agent's inbox as
// DownloadMoved, DownloadEnded, UploadMoved, UploadEnded.
//
// A transfer that cannot reach the broker ends with "transfer_cut", like one that broke off: when
// to try again is the core's decision.
//
// Used by the loop thread; `inbox`, `blobs` and `route` must outlive it.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <utility>

#include "common/blob/blob_store.h"
#include "common/blob/transfer.h"
#include "site-agent/service/data_sessions.h"
#include "site-agent/service/inbox.h"
#include "site-agent/service/worker_pool.h"

namespace entente::agent {

class Transfers {
 public:
  // `hello` opens every data session.
  Transfers(const BrokerRoute& route, BlobStore& blobs, msg::Hello hello, Inbox& inbox);

  void download(const BlobId& blob);
  void upload(const TaskKey& key, const BlobId& blob);
  void stop_download(const BlobId& blob);
  void stop_upload(const TaskKey& key);

  // Ends data sessions that nobody has used for a while. Returns when to look again.
  std::optional<Monotonic> close_idle_sessions(Monotonic now) { return sessions_.close_idle(now); }

  // Stops all; true when they have ended within `limit`.
  [[nodiscard]] bool stop(Millis limit);

 private:
  using Flag = std::shared_ptr<StopFlag>;
  using Move =
      std::function<Expected<void>(DataSessions::Taken&, const TransferProgress&, const StopFlag&)>;
  [[nodiscard]] Expected<void> over_a_session(const Move& move, const TransferProgress& progress,
                                              const StopFlag& stop);
  [[nodiscard]] std::optional<Refusal> attempt(const Move& move, const TransferProgress& progress,
                                               const StopFlag& stop);

  DataSessions sessions_;
  BlobStore& blobs_;
  Inbox& inbox_;
  std::map<BlobId, Flag> downloads_;  // the newest of each
  std::map<TaskKey, Flag> uploads_;
  WorkerPool pool_;  // last: its threads use the rest
};

}  // namespace entente::agent
