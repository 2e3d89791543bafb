// What peers have yet to be given: a bounded queue for each, beyond what the ROUTER holds for it.
//
// A peer may be owed a burst, a hundred offers when it comes back, that is more than the ROUTER
// takes at once. The rest waits here, in order, until the peer has read on; one that lets more than
// limits::kPeerQueueBytesMax wait is given up. Used by the loop thread only; `router` outlives it.
#pragma once

#include <cstddef>
#include <deque>
#include <map>

#include "common/net/router_port.h"
#include "common/wire/control_codec.h"

namespace entente::broker {

class SendQueues {
 public:
  explicit SendQueues(net::RouterPort& router) : router_(router) {}

  // False when the session is gone or would have too much waiting; the caller then closes it.
  [[nodiscard]] bool send(SessionId session, wire::Bytes message);
  // Hands on what the peers take by now. libzmq does not say when one of them has read on, so
  // somebody calls this now and then while messages wait.
  void flush();
  void forget(SessionId session) { queues_.erase(session); }
  [[nodiscard]] bool waiting() const { return !queues_.empty(); }

 private:
  struct Queue {
    std::deque<wire::Bytes> messages;
    std::size_t bytes = 0;
  };

  [[nodiscard]] bool hand_on(SessionId session, const wire::Bytes& message);

  net::RouterPort& router_;
  std::map<SessionId, Queue> queues_;  // none is empty
};

}  // namespace entente::broker
