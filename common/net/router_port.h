// The broker's side of one plane: a ROUTER whose peers are attached by the broker, never by
// themselves.
//
// `attach` connects to a session's unix socket with the routing id "<identity path>#<session>", so
// that the id comes from the certificate and can't be chosen by the peer.
//
//  - A message is read whole, and a peer is let go of between two messages only: libzmq aborts the
//    process when a pipe ends whose message it has read in part, and a poll alone reads its first
//    frame. So `detach` first takes that message, and a peer that has left (context.h) stays known
//    to the socket until then.
//
// Not thread-safe: one thread owns a port. No call blocks.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/net/frames.h"
#include "common/net/tls_front.h"

namespace entente::net {

class RouterPort {
 public:
  explicit RouterPort(zmq::context_t& context);

  void attach(const SessionUp& up);
  [[nodiscard]] bool has(SessionId session) const { return peers_.contains(session); }
  // The sessions that are attached, in the order of their numbers.
  [[nodiscard]] std::vector<SessionId> sessions() const;
  // Forgets the session; messages of it that are still queued are dropped.
  void detach(SessionId session);

  struct Received {
    SessionId session = 0;
    Frames frames;
  };
  // The next message of an attached session; nothing when none waits.
  [[nodiscard]] std::optional<Received> receive();
  // A message that no poll of the socket shows any more: `detach` has taken it.
  [[nodiscard]] bool holds_message() const { return !held_.empty(); }

  // False when the session is gone or its queue is full; the caller then closes the session.
  [[nodiscard]] bool send(SessionId session, Frames frames);

  [[nodiscard]] zmq::socket_ref socket() { return socket_; }

 private:
  struct Peer {
    std::string routing_id;
    std::string endpoint;
  };
  [[nodiscard]] std::optional<Received> read();

  zmq::socket_t socket_;
  std::map<SessionId, Peer> peers_;
  std::deque<Received> held_;  // at most one for each `detach` since the last `receive`
};

}  // namespace entente::net
