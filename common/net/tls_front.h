// The broker's one listening port: TLS 1.3 outside, ZMTP over private unix sockets inside.
//
// A connection is accepted, its handshake finished in time (HandshakeBounds), its certificate
// verified and its plane read from ALPN; not one ZMTP byte is parsed before. Then the front listens
// on a fresh abstract unix socket, announces the session to its plane's handler, and pumps bytes
// both ways once the plane's ROUTER has connected there (checked with SO_PEERCRED to be this
// process). The decrypted stream passes the frame guard (frame_guard.h).
//
// Owns its threads. Handlers are called on them and must only post to a mailbox.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "common/base/ids.h"
#include "common/base/limits.h"
#include "common/base/refusal.h"
#include "common/base/time.h"
#include "common/crypto/tls_context.h"
#include "common/domain/identity.h"

namespace entente::net {

struct SessionUp {
  SessionId session = 0;
  Identity identity;
  Plane plane = Plane::control;
  std::string endpoint;  // "ipc://@..." for RouterPort::attach
  std::string remote;    // "127.0.0.1:40332", for logs
};

struct SessionDown {
  SessionId session = 0;
  Plane plane = Plane::control;
  std::string reason;  // for logs; empty when the peer closed in order
};

// A connection that never became a session: for the log and the audit.
struct HandshakeRefused {
  std::string remote;
  Refusal reason;
};

// What a handshake may take. While all places are taken, new connections wait in the kernel's
// queue, and the oldest handshake gives up its place once it has lasted for `crowded_max`.
struct HandshakeBounds {
  std::size_t in_flight_max = limits::kHandshakesInFlightMax;
  Millis max = limits::kHandshakeMax;
  Millis crowded_max = limits::kHandshakeCrowdedMax;
};

struct TlsFrontHandlers {
  std::function<void(SessionUp)> on_up;
  std::function<void(SessionDown)> on_down;  // exactly once for each on_up
  std::function<void(HandshakeRefused)> on_refused;
};

class TlsFront {
 public:
  // Listens on `host:port` (port 0: any free one) at once. Throws std::system_error when it can't.
  TlsFront(const std::string& host, std::uint16_t port, TlsContext context,
           const ConsortiumId& consortium, TlsFrontHandlers handlers, HandshakeBounds bounds = {});
  ~TlsFront();  // closes every session and joins the threads
  TlsFront(const TlsFront&) = delete;
  TlsFront& operator=(const TlsFront&) = delete;

  [[nodiscard]] std::uint16_t port() const;

  // Any thread. Closes the session after what was already written to it has been sent, or after
  // limits::kLinger. Unknown sessions are ignored.
  void close(SessionId session);

  // Any thread. From now on `context` decides who is let in; sessions of peers that it does not
  // accept are closed at once.
  void renew(TlsContext context);

  // Stops accepting; sessions live on.
  void stop_accepting();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace entente::net
