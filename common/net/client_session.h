// One session with the broker: TLS first, then a DEALER over a unix socket of this process. When
// either ends, the session is over; whoever wants another opens another (the pause between two is
// the caller's decision, see site-agent/core). Not thread-safe, but may be opened on one thread and
// handed to another.
//
// All sessions of a process share its one ZeroMQ context, so that an idle one holds eight
// descriptors and one thread, not thirteen and three.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "common/base/limits.h"
#include "common/base/refusal.h"
#include "common/base/time.h"
#include "common/crypto/tls_context.h"
#include "common/net/frames.h"

namespace entente::net {

struct DialOptions {
  std::string broker;  // "host:port"
  std::string proxy;   // HTTP CONNECT proxy "host:port", or empty
  TlsContext context;
  ConsortiumId consortium;
  Plane plane = Plane::control;
  Millis patience = limits::kHandshakeMax;  // with everything up to the finished handshake
};

class ClientSession {
 public:
  // Connects and finishes the TLS handshake; `context` outlives the session. Blocks for at most
  // `patience`. The broker may still refuse our certificate: that arrives as `ended()`
  // at the first receive. Refuses with "broker_unreachable", "broker_untrusted" or "proxy_refused".
  [[nodiscard]] static Expected<std::unique_ptr<ClientSession>> open(zmq::context_t& context,
                                                                     const DialOptions& options);
  ~ClientSession();
  ClientSession(const ClientSession&) = delete;
  ClientSession& operator=(const ClientSession&) = delete;

  // False when the queue is full or the session has ended.
  [[nodiscard]] bool send(Frames frames);
  // Waits up to `timeout` (0: not at all). Nothing at the timeout or when the session has ended and
  // everything received before was taken.
  [[nodiscard]] std::optional<Frames> receive(Millis timeout);

  // Why the session is over; nothing while it lives.
  [[nodiscard]] std::optional<Refusal> ended() const;

  // For a caller's own poll loop: the socket, and a descriptor that is readable once ended.
  [[nodiscard]] zmq::socket_ref socket();
  [[nodiscard]] int ended_fd() const;

  // Bytes of TLS payload so far: what has really left and entered the house.
  [[nodiscard]] std::uint64_t bytes_sent() const;
  [[nodiscard]] std::uint64_t bytes_received() const;

 private:
  class Impl;
  explicit ClientSession(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace entente::net
