// Handshakes over a pair of memory buffers; the alerts are those of docs/tls.md.
#include <gtest/gtest.h>

#include <functional>

#include "common/crypto/openssl_ptr.h"
#include "common/crypto/tls_context.h"
#include "tests/unit/crypto/test_consortium.h"

namespace entente {
namespace {

using test::kTestNow;
using test::TestConsortium;

// One side of a handshake and what became of it.
struct Side {
  SslPtr session;
  bool peer_is_server = false;
  bool done = false;
  bool failed = false;
  Refusal reason;

  void advance() {
    if (failed) {
      return;
    }
    // A client learns of its refusal by reading on after its own part is finished.
    char byte = 0;
    const int result = done ? SSL_read(session.get(), &byte, 1) : SSL_do_handshake(session.get());
    if (result == 1) {
      done = true;
      return;
    }
    const int error = SSL_get_error(session.get(), result);
    if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE) {
      failed = true;
      reason = explain_tls_error(session.get(), peer_is_server);
    }
  }
  [[nodiscard]] int alert() const {
    const auto last = last_alert(session.get());
    return last ? last->number : 0;
  }
};

struct Handshake {
  Side server;
  Side client;

  [[nodiscard]] bool succeeded() const {
    return server.done && client.done && !server.failed && !client.failed;
  }
};

// `prepare` may change the client's session before it begins.
Handshake shake(
    SSL_CTX* server, SSL_CTX* client, const std::function<void(SSL*)>& prepare = [](SSL*) {}) {
  Handshake both;
  both.server.session.reset(SSL_new(server));
  both.client.session.reset(SSL_new(client));
  both.client.peer_is_server = true;
  BIO* server_end = nullptr;
  BIO* client_end = nullptr;
  require_openssl(BIO_new_bio_pair(&server_end, 0, &client_end, 0) == 1, "BIO_new_bio_pair");
  SSL_set_bio(both.server.session.get(), server_end, server_end);
  SSL_set_bio(both.client.session.get(), client_end, client_end);
  SSL_set_accept_state(both.server.session.get());
  SSL_set_connect_state(both.client.session.get());
  prepare(both.client.session.get());
  // A TLS 1.3 handshake takes three flights, and each may fill the pair's buffer once.
  for (int turn = 0; turn < 16; ++turn) {
    both.client.advance();
    both.server.advance();
  }
  return both;
}

auto dialling(const std::string& host) {
  return [host](SSL* session) { EXPECT_TRUE(verify_host(session, host)) << host; };
}

class TlsHandshake : public testing::Test {
 protected:
  TlsContext server(const Kit& kit) { return at_test_time(TlsContext::server(kit).value()); }
  TlsContext client(const Kit& kit, Plane plane = Plane::control) {
    return at_test_time(TlsContext::client(kit, plane).value());
  }
  static void offer(SSL_CTX* context, const std::string& protocols) {
    SSL_CTX_set_alpn_protos(context, reinterpret_cast<const unsigned char*>(protocols.data()),
                            static_cast<unsigned int>(protocols.size()));
  }
  Handshake shake_with(const Kit& kit) {
    const TlsContext ours = server(broker_);
    const TlsContext theirs = client(kit);
    return shake(ours.handle(), theirs.handle());
  }
  Kit broker_with_crl() {
    Kit kit = broker_;
    kit.crl_file = demo_.folder() / "ca" / "crl.pem";
    return kit;
  }

  static TlsContext at_test_time(TlsContext context) {
    test::set_time(context, kTestNow);
    return context;
  }

  TestConsortium demo_;
  Kit broker_ = demo_.broker();
};

void expect_refused_by_server(const Handshake& result, int alert) {
  EXPECT_TRUE(result.server.failed);
  EXPECT_EQ(result.server.alert(), alert);
  EXPECT_TRUE(result.client.failed);
  EXPECT_EQ(result.client.alert(), alert) << "the client must be told";
}

TEST_F(TlsHandshake, GivesBothSidesTheOthersIdentityAndThePlane) {
  for (const Plane plane : {Plane::control, Plane::data}) {
    const TlsContext ours = server(broker_);
    const TlsContext theirs = client(demo_.site("north"), plane);
    const Handshake result = shake(ours.handle(), theirs.handle(), dialling("127.0.0.1"));
    ASSERT_TRUE(result.succeeded()) << result.server.reason.message << result.client.reason.message;
    SSL* at_server = result.server.session.get();
    SSL* at_client = result.client.session.get();
    EXPECT_EQ(peer_identity(at_server, demo_.id(), false).value().path(), "site/north");
    EXPECT_EQ(peer_identity(at_client, demo_.id(), true).value().path(), "broker/main");
    EXPECT_EQ(negotiated_plane(at_server), plane);
    EXPECT_EQ(negotiated_plane(at_client), plane);
    EXPECT_STREQ(SSL_get_version(at_server), "TLSv1.3");
    EXPECT_FALSE(last_alert(at_server));
  }
}

TEST_F(TlsHandshake, LeavesNothingToResume) {
  const TlsContext ours = server(broker_);
  const TlsContext theirs = client(demo_.site("north"));
  const Handshake result = shake(ours.handle(), theirs.handle());
  ASSERT_TRUE(result.succeeded());
  EXPECT_EQ(SSL_SESSION_has_ticket(SSL_get0_session(result.client.session.get())), 0);
}

TEST_F(TlsHandshake, RefusesAClientWithoutACertificate) {
  const TlsContext ours = server(broker_);
  const TlsContext theirs = client(demo_.site("north"));
  const Handshake result = shake(ours.handle(), theirs.handle(), SSL_certs_clear);
  expect_refused_by_server(result, 116);
  EXPECT_EQ(result.client.reason.code, "certificate_refused");
}

TEST_F(TlsHandshake, RefusesTls12) {
  const TlsContext ours = server(broker_);
  const TlsContext theirs = client(demo_.site("north"));
  SSL_CTX_set_min_proto_version(theirs.handle(), TLS1_2_VERSION);
  SSL_CTX_set_max_proto_version(theirs.handle(), TLS1_2_VERSION);
  SSL_CTX_set_alpn_protos(theirs.handle(), nullptr, 0);  // as a scanner would come
  expect_refused_by_server(shake(ours.handle(), theirs.handle()), 70);
}

TEST_F(TlsHandshake, RefusesACertificateThatIsNotForThisSide) {
  for (const Purposes purposes : {Purposes{true, false}, Purposes{true, true}, Purposes{}}) {
    pki::Leaf leaf = demo_.site_leaf();
    leaf.purposes = purposes;
    expect_refused_by_server(shake_with(demo_.with_leaf(Role::site, leaf)), 43);
  }
}

TEST_F(TlsHandshake, RefusesAClientOfAnotherCa) {
  TestConsortium other;  // of the same name
  Kit stranger = other.site("north");
  stranger.ca_file = broker_.ca_file;  // trusts our broker, to get as far as possible
  const Handshake result = shake_with(stranger);
  expect_refused_by_server(result, 48);
  EXPECT_EQ(result.server.reason.code, "client_untrusted");
}

TEST_F(TlsHandshake, RefusesARevokedCertificateAndSaysSo) {
  const TlsContext theirs = client(demo_.site("north"));
  const TlsContext before = server(broker_with_crl());
  ASSERT_TRUE(shake(before.handle(), theirs.handle()).succeeded());
  demo_.authority().revoke_member("site/north", kTestNow, pki::kCrlDays).value();
  const TlsContext after = server(broker_with_crl());
  const Handshake result = shake(after.handle(), theirs.handle());
  expect_refused_by_server(result, 44);
  EXPECT_EQ(result.client.reason.message,
            "the broker does not accept this certificate: it is revoked (alert 44)");
  EXPECT_TRUE(shake(after.handle(), client(demo_.site("south")).handle()).succeeded());
}

TEST_F(TlsHandshake, RefusesEverybodyWhenTheRevocationListIsOld) {
  const TlsContext ours = server(broker_with_crl());
  test::set_time(ours, kTestNow + (pki::kCrlDays + 1) * pki::kDayMs);
  const Handshake result = shake(ours.handle(), client(demo_.site("north")).handle());
  expect_refused_by_server(result, 45);
  EXPECT_NE(result.server.reason.hint.find("--refresh"), std::string::npos);
}

TEST_F(TlsHandshake, RefusesAListOfAnotherCaForAll) {
  TestConsortium other;
  Kit kit = broker_;
  kit.crl_file = other.folder() / "ca" / "crl.pem";
  const TlsContext ours = server(kit);
  expect_refused_by_server(shake(ours.handle(), client(demo_.site("north")).handle()), 48);
}

TEST_F(TlsHandshake, RefusesToServeWithoutTheConfiguredRevocationList) {
  Kit kit = broker_;
  kit.crl_file = demo_.folder() / "no.pem";
  EXPECT_FALSE(TlsContext::server(kit));
}

TEST_F(TlsHandshake, RefusesAnExpiredCertificate) {
  pki::Leaf leaf = demo_.site_leaf();
  leaf.validity = {.not_before = kTestNow - 2 * pki::kDayMs, .not_after = kTestNow - pki::kDayMs};
  expect_refused_by_server(shake_with(demo_.with_leaf(Role::site, leaf)), 45);
}

TEST_F(TlsHandshake, RefusesAnUnknownProtocolName) {
  const TlsContext ours = server(broker_);
  const TlsContext theirs = client(demo_.site("north"));
  offer(theirs.handle(), "\x02h2");
  expect_refused_by_server(shake(ours.handle(), theirs.handle()), 120);
}

TEST_F(TlsHandshake, RefusesAClientThatOffersNoProtocolName) {
  const TlsContext ours = server(broker_);
  const TlsContext theirs = client(demo_.site("north"));
  SSL_CTX_set_alpn_protos(theirs.handle(), nullptr, 0);
  expect_refused_by_server(shake(ours.handle(), theirs.handle()), 120);
}

TEST_F(TlsHandshake, ClientRefusesABrokerAtAnotherHost) {
  const TlsContext ours = server(broker_);
  const TlsContext theirs = client(demo_.site("north"));
  for (const char* host : {"broker.example", "127.0.0.1", "::1", "[::1]"}) {
    EXPECT_TRUE(shake(ours.handle(), theirs.handle(), dialling(host)).succeeded()) << host;
  }
  for (const char* host : {"other.example", "127.0.0.2", "main", "[::2]"}) {
    const Handshake result = shake(ours.handle(), theirs.handle(), dialling(host));
    EXPECT_TRUE(result.client.failed) << host;
    EXPECT_EQ(result.client.reason.code, "broker_untrusted") << host;
    EXPECT_EQ(result.client.alert(), 42) << host;
  }
}

TEST_F(TlsHandshake, ClientRefusesABrokerThatIsNone) {
  pki::Leaf leaf = demo_.site_leaf();  // clientAuth alone
  const TlsContext ours = server(demo_.with_leaf(Role::broker, leaf));
  const Handshake result = shake(ours.handle(), client(demo_.site("south")).handle());
  EXPECT_TRUE(result.client.failed);
  EXPECT_EQ(result.client.alert(), 43);
}

TEST_F(TlsHandshake, OnlyABrokersKitServesAndItNeverDials) {
  EXPECT_FALSE(TlsContext::server(demo_.site("north")));
  EXPECT_FALSE(TlsContext::client(broker_, Plane::control));
}

// Each is accepted by TLS, whose rules it keeps; who it is, is ours to refuse.
TEST_F(TlsHandshake, PeerIdentityRefusesUrisThatAreNotExactlyOneLegalName) {
  const std::string good = "spiffe://demo/site/north";
  const std::vector<std::vector<std::string>> cases{
      {},
      {good, "spiffe://demo/site/south"},
      {good, good},
      {"https://demo/site/north"},
      {"spiffe://Demo/site/north"},
      {"spiffe://demo/site/n%6frth"},
      {"spiffe://demo/site/north/x"},
      {"spiffe://demo/king/north"},
      {std::string("spiffe://demo/site/north\0x", 26)},
      {"spiffe://demo/site/" + std::string(3000, 'a')},
      {"spiffe://other/site/north"},
      {"spiffe://demo/broker/north"},
  };
  for (const auto& uris : cases) {
    pki::Leaf leaf = demo_.site_leaf();
    leaf.uris = uris;
    const Handshake result = shake_with(demo_.with_leaf(Role::site, leaf));
    ASSERT_TRUE(result.succeeded()) << result.server.reason.message;
    const auto identity = peer_identity(result.server.session.get(), demo_.id(), false);
    ASSERT_FALSE(identity) << (uris.empty() ? "" : uris.front());
    EXPECT_EQ(identity.error().code, "identity_invalid");
  }
}

TEST_F(TlsHandshake, PeerIdentityRefusesASiteThatServes) {
  pki::Leaf leaf = demo_.site_leaf();
  leaf.purposes = purposes_for(Role::broker);
  const TlsContext ours = server(demo_.with_leaf(Role::broker, leaf));
  const Handshake result = shake(ours.handle(), client(demo_.site("south")).handle());
  ASSERT_TRUE(result.succeeded());
  EXPECT_FALSE(peer_identity(result.client.session.get(), demo_.id(), true));
}

}  // namespace
}  // namespace entente
