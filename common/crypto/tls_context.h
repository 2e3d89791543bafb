// A TLS 1.3 configuration made from a kit: mutual authentication, ALPN, nothing negotiable.
//
// Settings and reasons are in docs/tls.md. No OpenSSL type appears here but the handle that
// common/net needs. Immutable after construction; may be shared between threads.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/refusal.h"
#include "common/crypto/kit.h"

struct ssl_ctx_st;
struct ssl_st;

namespace entente {

enum class Plane : std::uint8_t { control, data };

// The ALPN protocol: "entente-control/1" or "entente-data/1".
[[nodiscard]] std::string_view alpn(Plane plane);

class TlsContext {
 public:
  // Accepts both planes; requires a client certificate with clientAuth of this consortium. Only a
  // broker's kit may serve. Refuses with the codes of load_kit.
  [[nodiscard]] static Expected<TlsContext> server(const Kit& kit);
  // Offers one plane. Any kit but a broker's may dial; verify_host still has to be told the host.
  [[nodiscard]] static Expected<TlsContext> client(const Kit& kit, Plane plane);

  // Why the peer of a finished handshake, which another context may have accepted, would not be
  // accepted today: "client_untrusted", as explain_tls_error says it. Nothing when it would.
  [[nodiscard]] std::optional<Refusal> distrust(ssl_st* session) const;

  [[nodiscard]] ssl_ctx_st* handle() const { return context_.get(); }

 private:
  explicit TlsContext(std::shared_ptr<ssl_ctx_st> context) : context_(std::move(context)) {}
  std::shared_ptr<ssl_ctx_st> context_;
};

// Before a client's handshake: the broker's certificate must carry `host`, a DNS name or an IP
// address (IPv6 with or without brackets), among its subject alternative names. Also sends a DNS
// name as SNI. False when `host` is neither.
[[nodiscard]] bool verify_host(ssl_st* session, const std::string& host);

// After a finished handshake: who the peer is by its certificate's one URI SAN. Refuses with code
// "identity_invalid" (none, several, malformed, another consortium, a role that does not fit the
// side: a client must be no broker, a server must be one).
[[nodiscard]] Expected<Identity> peer_identity(ssl_st* session, const ConsortiumId& consortium,
                                               bool peer_is_server);
// After a finished handshake: the plane that ALPN chose; nothing when none was chosen.
[[nodiscard]] std::optional<Plane> negotiated_plane(ssl_st* session);

// The last fatal alert of this session, by its number (RFC 8446, section 6).
struct TlsAlert {
  std::uint8_t number = 0;
  bool received = false;  // by the peer; else we sent it
};
[[nodiscard]] std::optional<TlsAlert> last_alert(ssl_st* session);

// What the last OpenSSL failure of this thread means for a person, with the alert that the peer
// sent or that we sent ("the broker does not accept this certificate: revoked (alert 44)").
// Codes: "certificate_refused" (the peer does not accept ours), "broker_untrusted" and
// "client_untrusted" (we do not accept the peer's), "tls_failed" (anything else). Empties OpenSSL's
// error queue.
[[nodiscard]] Refusal explain_tls_error(ssl_st* session, bool peer_is_server);

}  // namespace entente
