// The loop thread: takes what comes in, asks the core, and carries out what is committed.
#pragma once

#include <cstddef>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "broker/core/broker_core.h"
#include "broker/data_plane/data_plane.h"
#include "broker/service/merge_thread.h"
#include "broker/service/send_queues.h"
#include "broker/service/store_thread.h"
#include "common/net/router_port.h"
#include "common/net/tls_front.h"
#include "common/runtime/mailbox.h"
#include "common/runtime/stop_signal.h"

namespace entente::broker {

// What other threads tell the loop.
struct Committed {
  std::vector<Action> actions;
};
struct ThreadFailed {
  std::string what;
};
struct ClosePeer {
  SessionId session = 0;
};
using LoopMessage = std::variant<net::SessionUp, net::SessionDown, net::HandshakeRefused, Event,
                                 Committed, ThreadFailed, ClosePeer>;
using LoopInbox = Mailbox<LoopMessage>;

// The parts that actions are carried out with; all outlive the loop's run.
struct LoopParts {
  net::RouterPort& router;
  net::TlsFront& front;
  StoreThread& store;
  MergeThread& merges;
  DataPlane& data_plane;
  BlobStore& blobs;
};

class BrokerLoop {
 public:
  static constexpr Millis kDrainMax{2000};

  BrokerLoop(BrokerCore core, LoopInbox& inbox, LoopParts parts);

  // Returns when `stop` has fired (nothing) or a thread has failed (what failed). A stop first
  // drains, within kDrainMax: nobody new is let in, what is decided is committed and said, and each
  // session ends after its last message.
  [[nodiscard]] std::optional<std::string> run(StopSignal& stop);

 private:
  void wait(StopSignal& stop);
  void take_inbox();
  void drain();
  // Gives the peers what they take and says when to look again, `due` at the latest.
  [[nodiscard]] Monotonic flush(Monotonic due);
  // Waits for the threads' words and takes those that a drain is about.
  void take_last_words(Monotonic until, std::set<SessionId>& open);
  void take_messages();
  void take_time();
  void decide(const Event& event);
  void hand_over(Effects effects);
  void close(SessionId session, const std::string& reason);

  void handle(net::SessionUp up);
  void handle(const net::SessionDown& down);
  void handle(const net::HandshakeRefused& refused);
  void handle(const Event& event) { decide(event); }
  void handle(Committed committed);
  void handle(const ThreadFailed& failed) { failure_ = failed.what; }
  void handle(const ClosePeer& peer) { parts_.front.close(peer.session); }

  void carry_out(Send& send);
  void carry_out(const CloseSession& request) { close(request.session, request.reason); }
  void carry_out(const GrantPut& grant);
  void carry_out(const GrantGet& grant) {
    parts_.data_plane.grant(GetGrant{grant.peer, grant.blob});
  }
  void carry_out(const Revoke& revoke) { parts_.data_plane.revoke(revoke.peer, revoke.blob); }
  void carry_out(StartMerge& merge) { parts_.merges.push(std::move(merge)); }
  void carry_out(const DropBlob& drop);
  void carry_out(const SendEvents&);
  void carry_out(const SendEventPage&);
  void carry_out(const SendModels&);
  void carry_out(const SendAudit&);

  BrokerCore core_;
  LoopInbox& inbox_;
  LoopParts parts_;
  SendQueues queues_;
  std::size_t uncommitted_ = 0;  // batches that the store has not confirmed
  std::optional<std::string> failure_;
};

}  // namespace entente::broker
