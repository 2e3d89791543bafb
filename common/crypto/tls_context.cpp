#include "common/crypto/tls_context.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <openssl/err.h>

#include <algorithm>
#include <array>
#include <span>

#include "common/base/check.h"
#include "common/crypto/certificate.h"
#include "common/crypto/openssl_ptr.h"
#include "common/crypto/pem_files.h"

namespace entente {
namespace {

constexpr std::array kPlanes{Plane::control, Plane::data};

// A peer's chain is a leaf and perhaps our root, under 2 KiB; it is read before we know who it is.
constexpr long kPeerCertificatesBytesMax = 16 << 10;
// A root and one intermediate at most.
constexpr int kChainDepthMax = 2;

// A name as ALPN sends it: a length byte, then the text.
std::string wire_form(Plane plane) {
  const std::string_view name = alpn(plane);
  return static_cast<char>(name.size()) + std::string(name);
}

std::span<const unsigned char> as_unsigned(const std::string& text) {
  return {reinterpret_cast<const unsigned char*>(text.data()), text.size()};
}

// OpenSSL by itself takes a certificate without extended key usages, or with both, for fit.
int verify_peer(int trusted, X509_STORE_CTX* check) {
  if (trusted != 1 || X509_STORE_CTX_get_error_depth(check) != 0) {
    return trusted;
  }
  const auto* session = static_cast<const SSL*>(
      X509_STORE_CTX_get_ex_data(check, SSL_get_ex_data_X509_STORE_CTX_idx()));
  const Purposes wanted = purposes_for(SSL_is_server(session) == 1 ? Role::site : Role::broker);
  if (purposes_of(X509_STORE_CTX_get_current_cert(check)) != wanted) {
    X509_STORE_CTX_set_error(check, X509_V_ERR_INVALID_PURPOSE);
    return 0;
  }
  return 1;
}

// OpenSSL asks the ALPN callback only about a client that offers ALPN; one that does not must not
// slip past it. A client without TLS 1.3 passes here and fails by its version, a clearer reason.
int require_alpn(SSL* session, int* alert, void*) {
  const unsigned char* data = nullptr;
  std::size_t size = 0;
  const bool speaks_tls13 =
      SSL_client_hello_get0_ext(session, TLSEXT_TYPE_supported_versions, &data, &size) == 1;
  const bool offers_alpn =
      SSL_client_hello_get0_ext(session, TLSEXT_TYPE_application_layer_protocol_negotiation, &data,
                                &size) == 1;
  if (speaks_tls13 && !offers_alpn) {
    *alert = SSL_AD_NO_APPLICATION_PROTOCOL;
    return SSL_CLIENT_HELLO_ERROR;
  }
  return SSL_CLIENT_HELLO_SUCCESS;
}

int choose_plane(SSL*, const unsigned char** chosen, unsigned char* chosen_size,
                 const unsigned char* offered, unsigned int offered_size, void*) {
  static const std::string served = wire_form(Plane::control) + wire_form(Plane::data);
  const auto ours = as_unsigned(served);
  unsigned char* match = nullptr;
  if (SSL_select_next_proto(&match, chosen_size, ours.data(),
                            static_cast<unsigned int>(ours.size()), offered,
                            offered_size) != OPENSSL_NPN_NEGOTIATED) {
    return SSL_TLSEXT_ERR_ALERT_FATAL;
  }
  *chosen = match;
  return SSL_TLSEXT_ERR_OK;
}

// The slot of a session that holds its last fatal alert: 0x100 + number if received, 0x200 + number
// if sent.
int alert_slot() {
  static const int slot = SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return slot;
}

void remember_alert(const SSL* session, int where, int value) {
  if ((where & SSL_CB_ALERT) == 0 || (value >> 8) != SSL3_AL_FATAL) {
    return;
  }
  const std::uintptr_t direction = (where & SSL_CB_READ) != 0 ? 0x100 : 0x200;
  const std::uintptr_t entry = direction + static_cast<std::uintptr_t>(value & 0xff);
  SSL_set_ex_data(const_cast<SSL*>(session), alert_slot(), reinterpret_cast<void*>(entry));
}

Expected<void> use_credentials(SSL_CTX* context, const Kit& kit) {
  const auto leaf = read_certificate(kit.certificate_file);
  if (!leaf) {
    return tl::unexpected(leaf.error());
  }
  const auto key = read_private_key(kit.key_file);
  if (!key) {
    return tl::unexpected(key.error());
  }
  if (SSL_CTX_use_certificate(context, leaf->get()) != 1 ||
      SSL_CTX_use_PrivateKey(context, key->get()) != 1 || SSL_CTX_check_private_key(context) != 1) {
    return refuse("kit_invalid", fmt::format("{} and {} cannot be used together: {}",
                                             kit.certificate_file.native(), kit.key_file.native(),
                                             take_openssl_errors()));
  }
  return {};
}

Expected<void> use_trust(SSL_CTX* context, const Kit& kit) {
  const auto root = read_certificate(kit.ca_file);
  if (!root) {
    return tl::unexpected(root.error());
  }
  X509_STORE* store = SSL_CTX_get_cert_store(context);
  require_openssl(X509_STORE_add_cert(store, root->get()) == 1, "X509_STORE_add_cert");
  unsigned long flags = X509_V_FLAG_X509_STRICT;
  if (!kit.crl_file.empty()) {
    const auto crl = read_crl(kit.crl_file);
    if (!crl) {
      return tl::unexpected(crl.error());
    }
    require_openssl(X509_STORE_add_crl(store, crl->get()) == 1, "X509_STORE_add_crl");
    flags |= X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL;
  }
  require_openssl(X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(context), flags) == 1,
                  "X509_VERIFY_PARAM_set_flags");
  return {};
}

// Everything that both sides share; docs/tls.md gives the reason of each line.
void set_protocol(SSL_CTX* context) {
  const bool accepted =
      SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) == 1 &&
      SSL_CTX_set_max_proto_version(context, TLS1_3_VERSION) == 1 &&
      SSL_CTX_set_ciphersuites(context,
                               "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:"
                               "TLS_CHACHA20_POLY1305_SHA256") == 1 &&
      SSL_CTX_set1_groups_list(context, "X25519:P-256") == 1 &&
      SSL_CTX_set1_sigalgs_list(context, "ecdsa_secp256r1_sha256:ed25519") == 1 &&
      SSL_CTX_set1_client_sigalgs_list(context, "ecdsa_secp256r1_sha256:ed25519") == 1 &&
      SSL_CTX_set_num_tickets(context, 0) == 1 && SSL_CTX_set_max_early_data(context, 0) == 1;
  require_openssl(accepted, "configuring TLS 1.3");
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_options(context, SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION);
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_NO_AUTO_CHAIN);
  SSL_CTX_set_max_cert_list(context, kPeerCertificatesBytesMax);
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, verify_peer);
  SSL_CTX_set_verify_depth(context, kChainDepthMax);
  SSL_CTX_set_info_callback(context, remember_alert);
}

Expected<SslContextPtr> make_context(const Kit& kit, const SSL_METHOD* method) {
  SslContextPtr context(SSL_CTX_new(method));
  require_openssl(context != nullptr, "SSL_CTX_new");
  set_protocol(context.get());
  if (const auto used = use_credentials(context.get(), kit); !used) {
    return tl::unexpected(used.error());
  }
  if (const auto used = use_trust(context.get(), kit); !used) {
    return tl::unexpected(used.error());
  }
  return context;
}

std::shared_ptr<ssl_ctx_st> share(SslContextPtr context) {
  return {context.release(), [](ssl_ctx_st* handle) { SSL_CTX_free(handle); }};
}

// What an alert says about the certificate of the side that received it; empty for the others.
std::string_view certificate_fault(std::uint8_t alert) {
  switch (alert) {
    case SSL_AD_BAD_CERTIFICATE:
      return "it is damaged or does not name its holder properly";
    case SSL_AD_UNSUPPORTED_CERTIFICATE:
      return "it was issued for the other side of a connection";
    case SSL_AD_CERTIFICATE_REVOKED:
      return "it is revoked";
    case SSL_AD_CERTIFICATE_EXPIRED:
      return "it, or the revocation list, has expired or is not valid yet";
    case SSL_AD_CERTIFICATE_UNKNOWN:
      return "it could not be checked";
    case SSL_AD_UNKNOWN_CA:
      return "it comes from an unknown CA, or there is no revocation list";
    case SSL_AD_CERTIFICATE_REQUIRED:
      return "none was sent";
    default:
      return {};
  }
}

std::string_view protocol_fault(std::uint8_t alert) {
  switch (alert) {
    case SSL_AD_HANDSHAKE_FAILURE:
      return "no cipher suite, group or signature algorithm in common";
    case SSL_AD_PROTOCOL_VERSION:
      return "TLS 1.3 is required";
    case SSL_AD_NO_APPLICATION_PROTOCOL:
      return "the protocol name (ALPN) is missing or unknown";
    case SSL_AD_INTERNAL_ERROR:
      return "an internal error at the side that sent it";
    default:
      return "the handshake broke";
  }
}

constexpr const char* kOtherProtocolHint =
    "check that both ends are Entente of a compatible version and that nothing between them ends "
    "TLS";

Refusal explain_received(std::uint8_t alert, std::string_view peer) {
  if (const auto fault = certificate_fault(alert); !fault.empty()) {
    return {.code = "certificate_refused",
            .message = fmt::format("the {} does not accept this certificate: {} (alert {})", peer,
                                   fault, alert),
            .hint = "look at it with: entente pki inspect KIT; then ask your consortium's operator",
            .scope = Scope::site};
  }
  return {.code = "tls_failed",
          .message = fmt::format("the {} ended the handshake: {} (alert {})", peer,
                                 protocol_fault(alert), alert),
          .hint = kOtherProtocolHint,
          .scope = Scope::site};
}

Refusal explain_distrust(long verdict, const std::optional<TlsAlert>& alert, bool peer_is_server) {
  const std::string_view peer = peer_is_server ? "broker" : "client";
  const std::string number = alert ? fmt::format(" (alert {})", alert->number) : std::string();
  return {.code = fmt::format("{}_untrusted", peer),
          .message = fmt::format("the {}'s certificate is not accepted: {}{}", peer,
                                 X509_verify_cert_error_string(verdict), number),
          .hint = peer_is_server
                      ? "check the address and that ca.pem in the kit is your consortium's"
                      : (verdict == X509_V_ERR_CRL_HAS_EXPIRED
                             ? "renew the revocation list: entente pki revoke --refresh"
                             : ""),
          .scope = Scope::site};
}

}  // namespace

std::string_view alpn(Plane plane) {
  switch (plane) {
    case Plane::control:
      return "entente-control/1";
    case Plane::data:
      return "entente-data/1";
  }
  ENTENTE_CHECK(false);
}

Expected<TlsContext> TlsContext::server(const Kit& kit) {
  if (kit.identity.role != Role::broker) {
    return refuse("kit_invalid",
                  fmt::format("{} is the kit of {}, and only a broker's kit may serve",
                              kit.folder.native(), kit.identity.path()),
                  "make one with: entente pki issue broker NAME");
  }
  auto context = make_context(kit, TLS_server_method());
  if (!context) {
    return tl::unexpected(context.error());
  }
  SSL_CTX_set_client_hello_cb(context->get(), require_alpn, nullptr);
  SSL_CTX_set_alpn_select_cb(context->get(), choose_plane, nullptr);
  return TlsContext(share(std::move(*context)));
}

Expected<TlsContext> TlsContext::client(const Kit& kit, Plane plane) {
  if (kit.identity.role == Role::broker) {
    return refuse(
        "kit_invalid",
        fmt::format("{} is a broker's kit, and a broker never dials", kit.folder.native()),
        "name another kit with --kit DIR or ENTENTE_KIT");
  }
  auto context = make_context(kit, TLS_client_method());
  if (!context) {
    return tl::unexpected(context.error());
  }
  const std::string offer = wire_form(plane);
  const auto bytes = as_unsigned(offer);
  // Unlike its neighbours, this call returns 0 when all is well.
  require_openssl(SSL_CTX_set_alpn_protos(context->get(), bytes.data(),
                                          static_cast<unsigned int>(bytes.size())) == 0,
                  "SSL_CTX_set_alpn_protos");
  return TlsContext(share(std::move(*context)));
}

std::optional<Refusal> TlsContext::distrust(ssl_st* session) const {
  const CertificatePtr leaf(SSL_get1_peer_certificate(session));
  const TrustCheckPtr check(X509_STORE_CTX_new());
  require_openssl(check != nullptr, "X509_STORE_CTX_new");
  require_openssl(X509_STORE_CTX_init(check.get(), SSL_CTX_get_cert_store(context_.get()),
                                      leaf.get(), SSL_get_peer_cert_chain(session)) == 1,
                  "X509_STORE_CTX_init");
  require_openssl(X509_VERIFY_PARAM_set1(X509_STORE_CTX_get0_param(check.get()),
                                         SSL_CTX_get0_param(context_.get())) == 1,
                  "X509_VERIFY_PARAM_set1");
  if (X509_verify_cert(check.get()) == 1) {
    return std::nullopt;
  }
  ERR_clear_error();
  return explain_distrust(X509_STORE_CTX_get_error(check.get()), std::nullopt, false);
}

bool verify_host(ssl_st* session, const std::string& host) {
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  const std::string name = bracketed ? host.substr(1, host.size() - 2) : host;
  if (name.empty() || name.find('\0') != std::string::npos) {
    return false;
  }
  X509_VERIFY_PARAM* rules = SSL_get0_param(session);
  std::array<unsigned char, sizeof(in6_addr)> address{};
  if (::inet_pton(AF_INET, name.c_str(), address.data()) == 1) {
    return X509_VERIFY_PARAM_set1_ip(rules, address.data(), sizeof(in_addr)) == 1;
  }
  if (::inet_pton(AF_INET6, name.c_str(), address.data()) == 1) {
    return X509_VERIFY_PARAM_set1_ip(rules, address.data(), sizeof(in6_addr)) == 1;
  }
  if (bracketed) {
    return false;
  }
  SSL_set_hostflags(session, X509_CHECK_FLAG_NO_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
  return SSL_set1_host(session, name.c_str()) == 1 &&
         SSL_set_tlsext_host_name(session, name.c_str()) == 1;
}

Expected<Identity> peer_identity(ssl_st* session, const ConsortiumId& consortium,
                                 bool peer_is_server) {
  const CertificatePtr certificate(SSL_get1_peer_certificate(session));
  if (!certificate || SSL_get_verify_result(session) != X509_V_OK) {
    return refuse("identity_invalid", "the peer has shown no trusted certificate", {}, Scope::site);
  }
  auto identity = identity_of(certificate.get());
  if (!identity) {
    identity.error().scope = Scope::site;
    return identity;
  }
  if (identity->consortium != consortium) {
    return refuse("identity_invalid",
                  fmt::format("the peer belongs to the consortium \"{}\", not to \"{}\"",
                              identity->consortium.str(), consortium.str()),
                  "check which kit each side uses", Scope::site);
  }
  if ((identity->role == Role::broker) != peer_is_server) {
    return refuse("identity_invalid",
                  fmt::format("{} may not act as a {}", identity->path(),
                              peer_is_server ? "broker" : "client"),
                  {}, Scope::site);
  }
  return identity;
}

std::optional<Plane> negotiated_plane(ssl_st* session) {
  const unsigned char* data = nullptr;
  unsigned int size = 0;
  SSL_get0_alpn_selected(session, &data, &size);
  const std::string_view chosen(reinterpret_cast<const char*>(data), size);
  const auto* plane = std::find_if(kPlanes.begin(), kPlanes.end(),
                                   [&](Plane candidate) { return alpn(candidate) == chosen; });
  return plane == kPlanes.end() ? std::nullopt : std::optional(*plane);
}

std::optional<TlsAlert> last_alert(ssl_st* session) {
  const auto entry = reinterpret_cast<std::uintptr_t>(SSL_get_ex_data(session, alert_slot()));
  if (entry == 0) {
    return std::nullopt;
  }
  return TlsAlert{.number = static_cast<std::uint8_t>(entry & 0xff),
                  .received = (entry & 0x100) != 0};
}

Refusal explain_tls_error(ssl_st* session, bool peer_is_server) {
  const std::string details = take_openssl_errors();
  const std::string_view peer = peer_is_server ? "broker" : "client";
  const auto alert = last_alert(session);
  if (alert && alert->received) {
    return explain_received(alert->number, peer);
  }
  if (const long verdict = SSL_get_verify_result(session); verdict != X509_V_OK) {
    return explain_distrust(verdict, alert, peer_is_server);
  }
  if (alert && alert->number == SSL_AD_CERTIFICATE_REQUIRED) {
    return {.code = fmt::format("{}_untrusted", peer),
            .message = fmt::format("the {} sent no certificate (alert 116)", peer),
            .hint = {},
            .scope = Scope::site};
  }
  if (alert) {
    return {.code = "tls_failed",
            .message = fmt::format("the {}'s handshake is refused: {} (alert {}; {})", peer,
                                   protocol_fault(alert->number), alert->number, details),
            .hint = kOtherProtocolHint,
            .scope = Scope::site};
  }
  return {.code = "tls_failed",
          .message = details.empty()
                         ? fmt::format("the {} closed the connection", peer)
                         : fmt::format("the {} does not speak TLS as expected: {}", peer, details),
          .hint = kOtherProtocolHint,
          .scope = Scope::site};
}

}  // namespace entente
