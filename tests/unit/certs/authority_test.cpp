#include "certs/authority.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <fstream>
#include <iterator>
#include <thread>

#include "certs/inspect.h"
#include "certs/kit_folder.h"
#include "common/crypto/kit.h"

namespace entente::pki {
namespace {

namespace fs = std::filesystem;

constexpr UnixMillis kNow = 1'800'000'000'000;
const Member kNorth{.role = Role::site, .name = "north", .hosts = {}};

mode_t mode_of(const fs::path& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 ? status.st_mode & 07777 : 0;
}

std::string text_of(const fs::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

class AuthorityTest : public testing::Test {
 protected:
  AuthorityTest() {
    std::string name = (fs::temp_directory_path() / "entente-certs-XXXXXX").native();
    EXPECT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  ~AuthorityTest() override {
    std::error_code ignored;
    fs::remove_all(folder_, ignored);
  }

  Authority make() {
    return Authority::create(folder_ / "ca", ConsortiumId::literal("demo"), kNow).value();
  }

  fs::path folder_;
};

TEST_F(AuthorityTest, KeepsItsKeyToItself) {
  const Authority authority = make();
  EXPECT_EQ(mode_of(folder_ / "ca"), 0700U);
  EXPECT_EQ(mode_of(folder_ / "ca" / "ca-key.pem"), 0600U);
  fs::permissions(folder_ / "ca" / "ca-key.pem", fs::perms(0640));
  const auto opened = Authority::open(folder_ / "ca");
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, "kit_unsafe");
}

TEST_F(AuthorityTest, IsNeverMadeTwiceInOneFolder) {
  const std::string key = (make(), text_of(folder_ / "ca" / "ca-key.pem"));
  const auto again = Authority::create(folder_ / "ca", ConsortiumId::literal("demo"), kNow);
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, "ca_exists");
  EXPECT_EQ(text_of(folder_ / "ca" / "ca-key.pem"), key);
}

TEST_F(AuthorityTest, IsTheSameAfterOpening) {
  const std::string pem = make().root_pem();
  const auto opened = Authority::open(folder_ / "ca");
  ASSERT_TRUE(opened) << opened.error().message;
  EXPECT_EQ(opened->root_pem(), pem);
  EXPECT_EQ(opened->consortium().str(), "demo");
}

TEST_F(AuthorityTest, SignsARequestWhoseKeyNeverLeavesTheMember) {
  Authority authority = make();
  const fs::path kit = folder_ / "north";
  const auto request = request_kit(kit);
  ASSERT_TRUE(request);
  EXPECT_EQ(mode_of(kit), 0700U);
  EXPECT_EQ(mode_of(kit / "key.pem"), 0600U);
  EXPECT_EQ(request->find("PRIVATE"), std::string::npos);

  const auto issued = authority.sign_request(*request, kNorth, valid_for(kNow, 90));
  ASSERT_TRUE(issued) << issued.error().message;
  ASSERT_TRUE(complete_kit(kit, authority.consortium(), authority.root_pem(),
                           issued->certificate_pem,
                           {.broker = "localhost:7117", .proxy = {}, .crl = {}}));
  const auto loaded = load_kit(kit, kNow);
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_EQ(loaded->identity.path(), "site/north");
  EXPECT_EQ(loaded->broker, "localhost:7117");
}

TEST_F(AuthorityTest, RefusesARequestThatWasChangedOnTheWay) {
  Authority authority = make();
  std::string request = request_kit(folder_ / "north").value();
  // The last full base64 line holds the signature.
  const std::size_t end = request.rfind("\n-----END");
  char& digit = request[end - 8];
  digit = digit == 'A' ? 'B' : 'A';
  const auto issued = authority.sign_request(request, kNorth, valid_for(kNow, 90));
  ASSERT_FALSE(issued);
  EXPECT_EQ(issued.error().code, "request_invalid");
  EXPECT_TRUE(authority.issued().value().empty());
}

TEST_F(AuthorityTest, RefusesWhatIsNoRequest) {
  Authority authority = make();
  for (const std::string& text :
       {std::string(), std::string("hello"), authority.root_pem(), std::string(1 << 20, 'A')}) {
    const auto issued = authority.sign_request(text, kNorth, valid_for(kNow, 90));
    ASSERT_FALSE(issued);
    EXPECT_EQ(issued.error().code, "request_invalid");
  }
}

TEST_F(AuthorityTest, RefusesAKeyThatTlsWouldNotNegotiate) {
  // openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-384 -nodes -subj /CN=north
  constexpr std::string_view kP384 = R"(-----BEGIN CERTIFICATE REQUEST-----
MIIBBzCBjwIBADAQMQ4wDAYDVQQDDAVub3J0aDB2MBAGByqGSM49AgEGBSuBBAAi
A2IABPoEnUrbOGmCy86vpwFypO7B4/qOmXGoUIUazAyeQ/u26owxNzWIwC8GYjXu
L+m47JicKtiBov6B6Fb6lmwuTwvBZQBQgwQyUUdrXBPYboR5ro6St0TwsdrEMYyq
SPRdcaAAMAoGCCqGSM49BAMCA2cAMGQCME5Wy3TR1p13jrj/SjUx/De91KpN3mZP
2LaJ4OMNDMpO6RK51yd1DLnEjvLZIWmsuwIwbLYIcRSSQJqZ0wGqvYcYXHjhg9pL
A6RqjxGn/zvIyNpEjDEeVPDaDuUNuJQ/UyIA
-----END CERTIFICATE REQUEST-----
)";
  Authority authority = make();
  const auto issued = authority.sign_request(kP384, kNorth, valid_for(kNow, 90));
  ASSERT_FALSE(issued);
  EXPECT_EQ(issued.error().message, "the request's key is neither P-256 nor Ed25519");
}

TEST_F(AuthorityTest, SignsAnEd25519Key) {
  // openssl req -new -newkey ed25519 -nodes -subj /CN=somebody-else
  constexpr std::string_view kEd25519 = R"(-----BEGIN CERTIFICATE REQUEST-----
MIGXMEsCAQAwGDEWMBQGA1UEAwwNc29tZWJvZHktZWxzZTAqMAUGAytlcAMhAL8J
84eyJtqVnWmblpGFj2imMQcRpzEZVxGLEntyjIILoAAwBQYDK2VwA0EA8c0I/BCp
IzNbSYSIIbPiZDYjm2BTCJTjafjcIL8yuwZPkBDwIVnQ8TnBLqKL9iCv3ruuURow
6DaXBTf+vJi/Dg==
-----END CERTIFICATE REQUEST-----
)";
  Authority authority = make();
  const auto issued = authority.sign_request(kEd25519, kNorth, valid_for(kNow, 90));
  ASSERT_TRUE(issued) << issued.error().message;
  EXPECT_EQ(issued->identity.path(), "site/north") << "the signer names, not the request";
}

TEST_F(AuthorityTest, RefusesMembersThatDoNotFitTheirRole) {
  Authority authority = make();
  const Hosts hosts{.dns = {"broker.example"}, .ips = {}};
  const std::vector<Member> wrong{
      {.role = Role::site, .name = "North", .hosts = {}},
      {.role = Role::site, .name = "a/b", .hosts = {}},
      {.role = Role::site, .name = "north", .hosts = hosts},
      {.role = Role::broker, .name = "main", .hosts = {}},
      {.role = Role::broker, .name = "main", .hosts = {.dns = {"*.example"}, .ips = {}}},
      {.role = Role::broker, .name = "main", .hosts = {.dns = {"127.0.0.1"}, .ips = {}}},
      {.role = Role::broker, .name = "main", .hosts = {.dns = {}, .ips = {"localhost"}}},
  };
  for (const Member& member : wrong) {
    const fs::path kit = folder_ / "kit";
    const auto issued = issue_kit(authority, member, {}, valid_for(kNow, 90), kit);
    ASSERT_FALSE(issued) << member.name;
    EXPECT_EQ(issued.error().code, "profile_invalid");
    EXPECT_FALSE(fs::exists(kit)) << "a refusal leaves nothing behind";
  }
}

TEST_F(AuthorityTest, NeverOverwritesAKit) {
  Authority authority = make();
  ASSERT_TRUE(issue_kit(authority, kNorth, {}, valid_for(kNow, 90), folder_ / "kit"));
  const std::string key = text_of(folder_ / "kit" / "key.pem");
  const auto again = issue_kit(authority, kNorth, {}, valid_for(kNow, 90), folder_ / "kit");
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, "file_exists");
  EXPECT_EQ(text_of(folder_ / "kit" / "key.pem"), key);
  EXPECT_EQ(authority.issued().value().size(), 1U);
}

TEST_F(AuthorityTest, WillNotPutSettingsIntoKitTomlThatWouldAddLines) {
  Authority authority = make();
  const auto issued =
      issue_kit(authority, kNorth, {.broker = "a:1\"\ncrl = \"x", .proxy = {}, .crl = {}},
                valid_for(kNow, 90), folder_ / "kit");
  ASSERT_FALSE(issued);
  EXPECT_EQ(issued.error().code, "profile_invalid");
}

TEST_F(AuthorityTest, RevokesEveryCertificateOfAMemberOnce) {
  Authority authority = make();
  const auto issue = [&](const char* name, const char* folder) {
    return issue_kit(authority, {.role = Role::site, .name = name, .hosts = {}}, {},
                     valid_for(kNow, 90), folder_ / folder)
        .value();
  };
  issue("north", "1");
  issue("north", "2");
  const Issued south = issue("south", "3");
  EXPECT_EQ(authority.revoke_member("site/north", kNow, kCrlDays).value().size(), 2U);
  const auto again = authority.revoke_member("site/north", kNow, kCrlDays);
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, "certificate_unknown");
  EXPECT_EQ(authority.revoke_serial(south.row.serial, kNow, kCrlDays).value().front().member,
            "site/south");
  for (const IndexRow& row : Authority::open(folder_ / "ca").value().issued().value()) {
    EXPECT_TRUE(row.revoked());
  }
}

TEST_F(AuthorityTest, ForgetsNoCertificateWhenTwoSignAtOnce) {
  Authority one = make();
  Authority two = Authority::open(folder_ / "ca").value();
  const std::string request = request_kit(folder_ / "north").value();
  constexpr std::size_t kEach = 20;
  const auto sign = [&](Authority& authority) {
    for (std::size_t i = 0; i < kEach; ++i) {
      EXPECT_TRUE(authority.sign_request(request, kNorth, valid_for(kNow, 90)));
    }
  };
  std::thread other([&] { sign(two); });
  sign(one);
  other.join();
  EXPECT_EQ(one.issued().value().size(), 2 * kEach);
}

TEST_F(AuthorityTest, RefusesADamagedIndexInsteadOfForgetting) {
  Authority authority = make();
  ASSERT_TRUE(issue_kit(authority, kNorth, {}, valid_for(kNow, 90), folder_ / "kit"));
  std::ofstream(folder_ / "ca" / "issued.tsv", std::ios::app) << "half a li";
  const auto revoked = authority.revoke_member("site/north", kNow, kCrlDays);
  ASSERT_FALSE(revoked);
  EXPECT_EQ(revoked.error().code, "ca_invalid");
}

TEST_F(AuthorityTest, ShowsWhatACertificateSays) {
  Authority authority = make();
  const Member broker{.role = Role::broker,
                      .name = "main",
                      .hosts = {.dns = {"broker.example"}, .ips = {"127.0.0.1", "::1"}}};
  const Issued issued =
      issue_kit(authority, broker, {}, valid_for(kNow, 30), folder_ / "kit").value();
  const Inspection seen = inspect(folder_ / "kit").value();
  EXPECT_EQ(seen.identity.value().path(), "broker/main");
  EXPECT_EQ(seen.uris, std::vector<std::string>{"spiffe://demo/broker/main"});
  EXPECT_EQ(seen.dns, std::vector<std::string>{"broker.example"});
  EXPECT_EQ(seen.ips, (std::vector<std::string>{"127.0.0.1", "::1"}));
  EXPECT_EQ(seen.issuer, "CN = demo consortium CA");
  EXPECT_EQ(seen.serial, issued.row.serial);
  EXPECT_EQ(seen.fingerprint, issued.row.fingerprint);
  EXPECT_EQ(seen.validity.not_after, kNow + 30 * kDayMs);
  EXPECT_EQ(seen.purposes, (Purposes{.server = true, .client = false}));
  EXPECT_TRUE(inspect(folder_ / "ca" / "ca.pem").value().is_ca);
}

}  // namespace
}  // namespace entente::pki
