// Who may not come in is told why in the handshake, by the alert that docs/tls.md lists, and
// disturbs nobody else. The peers are OpenSSL's own client and our command line.
#include <gmock/gmock.h>
#include <signal.h>

#include "common/runtime/system_clock.h"
#include "tests/support/consortium.h"
#include "tests/support/wait.h"
#include "tests/unit/net/raw_client.h"

namespace entente::integration {
namespace {

using net::test::RawClient;
using testing::HasSubstr;

class WrongPeer : public testing::Test {
 protected:
  // What `openssl s_client` says about a connection that the broker ends.
  std::string s_client(std::vector<std::string> arguments) {
    std::vector<std::string> all{"s_client",
                                 "-connect",
                                 consortium_.endpoint(),
                                 "-CAfile",
                                 (consortium_.folder() / "ca/ca.pem").string(),
                                 "-ign_eof"};
    all.insert(all.end(), arguments.begin(), arguments.end());
    const auto log = consortium_.folder() / ("s_client-" + std::to_string(++runs_));
    const auto outcome = Command("/usr/bin/openssl", all, {{"PATH", "/usr/bin"}}, log).finish();
    return outcome.out + outcome.err;
  }

  std::string s_client_with(const std::string& kit, const std::string& alpn = "entente-control/1") {
    const auto folder = consortium_.kit(kit);
    return s_client({"-alpn", alpn, "-cert", (folder / "cert.pem").string(), "-key",
                     (folder / "key.pem").string()});
  }

  pki::Authority strangers_authority() {
    return *pki::Authority::create(consortium_.folder() / "other-ca", ConsortiumId::literal("demo"),
                                   system_now().unix_ms);
  }

  Consortium consortium_;

 private:
  int runs_ = 0;
};

TEST_F(WrongPeer, WithAnOlderTlsIsRefused) {
  EXPECT_THAT(s_client({"-tls1_2", "-alpn", "entente-control/1"}), HasSubstr("alert number 70"));
}

TEST_F(WrongPeer, WithoutACertificateIsRefused) {
  EXPECT_THAT(s_client({"-alpn", "entente-control/1"}), HasSubstr("alert number 116"));
}

TEST_F(WrongPeer, WithAnExpiredCertificateIsRefused) {
  const auto now = system_now().unix_ms;
  consortium_.issue(consortium_.authority(), Role::site, "late",
                    {now - 10 * pki::kDayMs, now - pki::kDayMs}, "late");
  EXPECT_THAT(s_client_with("late"), HasSubstr("alert number 45"));
}

TEST_F(WrongPeer, OfAnotherAuthorityIsRefused) {
  auto authority = strangers_authority();
  consortium_.issue(authority, Role::site, "stranger",
                    pki::valid_for(system_now().unix_ms, pki::kLeafDays), "stranger");
  EXPECT_THAT(s_client_with("stranger"), HasSubstr("alert number 48"));
}

TEST_F(WrongPeer, WithAServersCertificateIsRefused) {
  EXPECT_THAT(s_client_with("main"), HasSubstr("alert number 43"));
}

TEST_F(WrongPeer, OfAnotherProtocolIsRefused) {
  EXPECT_THAT(s_client_with("alice", "http/1.1"), HasSubstr("alert number 120"));
  const auto folder = consortium_.kit("alice");
  EXPECT_THAT(
      s_client({"-cert", (folder / "cert.pem").string(), "-key", (folder / "key.pem").string()}),
      HasSubstr("alert number 120"));
}

TEST_F(WrongPeer, InPlainTextIsClosed) {
  const RawClient client(consortium_.port());
  client.send_plain("GET / HTTP/1.1\r\nHost: broker\r\n\r\n");
  EXPECT_TRUE(client.sees_the_end());
}

TEST_F(WrongPeer, AtTheCommandLineIsToldItsExitCode) {
  consortium_.issue(Role::site, "north");
  const auto site = consortium_.entente_as("north", {"job", "list"});
  EXPECT_EQ(site.code, 4);
  EXPECT_THAT(site.err, HasSubstr("site/north may not"));

  auto authority = strangers_authority();
  consortium_.issue(authority, Role::coordinator, "mallory",
                    pki::valid_for(system_now().unix_ms, pki::kLeafDays), "mallory");
  const auto stranger = consortium_.entente_as("mallory", {"job", "list"});
  EXPECT_EQ(stranger.code, 4) << stranger.err;

  const auto no_kit = consortium_.entente_as("nowhere", {"job", "list"});
  EXPECT_EQ(no_kit.code, 1);
  EXPECT_THAT(no_kit.err, HasSubstr("hint: "));
}

TEST_F(WrongPeer, WithARevokedCertificateIsRefused) {
  consortium_.issue(Role::coordinator, "bob");
  EXPECT_EQ(consortium_.entente_as("bob", {"job", "list"}).code, 0);
  const auto revoked =
      consortium_.authority().revoke_member("coordinator/bob", system_now().unix_ms, pki::kCrlDays);
  ASSERT_TRUE(revoked) << revoked.error().message;
  const auto broker_kit = consortium_.kit("main");
  write_text(broker_kit / "crl.pem", read_text(consortium_.folder() / "ca/crl.pem"));
  write_text(broker_kit / "kit.toml", "crl = \"crl.pem\"\n" + read_text(broker_kit / "kit.toml"));
  consortium_.kill("broker");
  consortium_.start_broker();
  const auto bob = consortium_.entente_as("bob", {"job", "list"});
  EXPECT_EQ(bob.code, 4);
  EXPECT_THAT(bob.err, HasSubstr("alert 44"));
  EXPECT_EQ(consortium_.entente({"job", "list"}).code, 0);
}

TEST_F(WrongPeer, ThatIsRevokedWhileItIsConnectedLosesItsSession) {
  consortium_.add_site("north");
  consortium_.add_site("south");
  consortium_.wait_for_sites(2);
  ASSERT_TRUE(
      consortium_.authority().revoke_member("site/north", system_now().unix_ms, pki::kCrlDays));
  const auto broker_kit = consortium_.kit("main");
  write_text(broker_kit / "crl.pem", "not yet written");
  write_text(broker_kit / "kit.toml", "crl = \"crl.pem\"\n" + read_text(broker_kit / "kit.toml"));
  ::kill(consortium_.pid("broker"), SIGHUP);
  wait_until("the broker to keep the kit that it has", [&] {
    return consortium_.log("broker").find("the changed kit is not used") != std::string::npos;
  });
  write_text(broker_kit / "crl.pem", read_text(consortium_.folder() / "ca/crl.pem"));
  wait_until("north to be told why", [&] {
    return consortium_.log("north").find("it is revoked (alert 44)") != std::string::npos;
  });
  EXPECT_THAT(consortium_.log("broker"), HasSubstr("certificate revoked"));
  for (const auto& site : consortium_.ask({"site", "list"})) {
    EXPECT_EQ(site["connected"], site["site"] == "south") << site.dump();
  }
}

TEST_F(WrongPeer, BrokerThatIsNotThereGivesExitCode3) {
  consortium_.kill("broker");
  const auto outcome = consortium_.entente({"job", "list"});
  EXPECT_EQ(outcome.code, 3);
  EXPECT_THAT(outcome.err, HasSubstr("cannot be reached"));
}

TEST_F(WrongPeer, CoordinatorSeesNothingOfAnothersJobs) {
  consortium_.add_site("north");
  consortium_.wait_for_sites(1);
  consortium_.issue(Role::coordinator, "bob");
  consortium_.hold("north", "prepare");
  JobFile job;
  job.sites_min = 1;
  const auto id = consortium_.submit(job);
  for (const auto& command : {std::vector<std::string>{"job", "show", id},
                              {"job", "abort", id},
                              {"job", "watch", id},
                              {"model", "show", id}}) {
    const auto outcome = consortium_.entente_as("bob", command);
    EXPECT_EQ(outcome.code, 1);
    EXPECT_THAT(outcome.err, HasSubstr("there is no job"));
  }
  EXPECT_EQ(consortium_.entente_as("bob", {"job", "list", "--json"}).out, "[]\n");
}

TEST_F(WrongPeer, AgentWithAnothersSiteNameIsTurnedAway) {
  consortium_.add_site("north");
  consortium_.wait_for_sites(1);
  consortium_.make_site("copy");
  const auto config = consortium_.site_folder("copy") / "agent.toml";
  auto text = read_text(config);
  text.replace(text.find("kits/copy"), 9, "kits/north");
  write_text(config, text);
  consortium_.start_agent("copy");
  wait_until("the copy is told why", [&] {
    return count(consortium_.log("copy"), "another installation is connected") > 0;
  });
  EXPECT_EQ(consortium_.ask({"site", "list"})[0]["connected"], true);
}

TEST_F(WrongPeer, OfEveryKindLeaveARunningJobAlone) {
  consortium_.add_site("north");
  consortium_.add_site("south");
  consortium_.wait_for_sites(2);
  consortium_.hold("north", "train-1");
  const auto job = consortium_.submit({});
  (void)consortium_.wait_until_held("north", "train-1");
  for (int i = 0; i < 20; ++i) {
    const RawClient client(consortium_.port());
    client.send_plain(i % 2 == 0 ? "\x16\x03\x01\xff\xff\xff" : "HELO broker\r\n");
  }
  (void)s_client({"-alpn", "entente-control/1"});
  (void)s_client_with("main");
  consortium_.release("north", "train-1");
  EXPECT_EQ(consortium_.wait_for_end(job)["state"], "completed");
}

}  // namespace
}  // namespace entente::integration
