#include "common/crypto/kit.h"

#include <gtest/gtest.h>

#include <fstream>

#include "tests/unit/crypto/test_consortium.h"

namespace entente {
namespace {

using test::kTestNow;
using test::TestConsortium;

namespace fs = std::filesystem;

void write(const fs::path& path, std::string_view text) {
  std::ofstream(path, std::ios::trunc) << text;
}

std::string code_of(const Expected<Kit>& kit) { return kit ? "accepted" : kit.error().code; }

TEST(Kit, LoadsWhatTheAuthorityIssued) {
  TestConsortium demo;
  const Kit kit = demo.site("north", {.broker = "broker.example:7117", .proxy = {}, .crl = {}});
  EXPECT_EQ(kit.identity, (Identity{demo.id(), Role::site, "north"}));
  EXPECT_EQ(kit.broker, "broker.example:7117");
  EXPECT_EQ(kit.valid_until_unix_ms, kTestNow + pki::kLeafDays * pki::kDayMs);
}

TEST(Kit, RefusesAKeyThatOthersMayRead) {
  TestConsortium demo;
  const Kit kit = demo.site("north");
  fs::permissions(kit.key_file, fs::perms(0644));
  EXPECT_EQ(code_of(load_kit(kit.folder, kTestNow)), "kit_unsafe");
  EXPECT_FALSE(TlsContext::client(kit, Plane::control));
}

TEST(Kit, RefusesAKeyBehindASymbolicLink) {
  TestConsortium demo;
  const Kit kit = demo.site("north");
  fs::rename(kit.key_file, kit.folder / "elsewhere.pem");
  fs::create_symlink("elsewhere.pem", kit.key_file);
  EXPECT_EQ(code_of(load_kit(kit.folder, kTestNow)), "kit_unsafe");
}

TEST(Kit, RefusesAKeyThatIsNoRegularFile) {
  TestConsortium demo;
  const Kit kit = demo.site("north");
  fs::remove(kit.key_file);
  fs::create_directory(kit.key_file);
  fs::permissions(kit.key_file, fs::perms(0700));
  EXPECT_EQ(code_of(load_kit(kit.folder, kTestNow)), "kit_invalid");
}

TEST(Kit, RefusesTheKeyOfAnotherCertificate) {
  TestConsortium demo;
  const Kit north = demo.site("north");
  const Kit south = demo.site("south");
  fs::copy_file(south.key_file, north.key_file, fs::copy_options::overwrite_existing);
  EXPECT_EQ(code_of(load_kit(north.folder, kTestNow)), "kit_invalid");
}

TEST(Kit, RefusesARootThatDidNotSign) {
  TestConsortium demo;
  TestConsortium other;
  const Kit kit = demo.site("north");
  write(kit.ca_file, other.authority().root_pem());
  EXPECT_EQ(code_of(load_kit(kit.folder, kTestNow)), "kit_invalid");
}

TEST(Kit, RefusesAnotherConsortiumThanItsSettingsName) {
  TestConsortium demo;
  const Kit kit = demo.site("north");
  write(kit.folder / "kit.toml", "consortium = \"other\"\n");
  EXPECT_EQ(code_of(load_kit(kit.folder, kTestNow)), "kit_invalid");
}

TEST(Kit, RefusesACertificateForTheOtherSideOfAConnection) {
  TestConsortium demo;
  pki::Leaf leaf = demo.site_leaf();
  leaf.purposes = {.server = true, .client = false};
  EXPECT_EQ(code_of(load_kit(demo.with_leaf(Role::site, leaf).folder, kTestNow)), "kit_invalid");
}

TEST(Kit, SaysWhetherACertificateIsTooOldOrTooYoung) {
  TestConsortium demo;
  const fs::path folder = demo.site("north").folder;
  const UnixMillis end = kTestNow + pki::kLeafDays * pki::kDayMs;
  EXPECT_EQ(code_of(load_kit(folder, end)), "accepted");
  EXPECT_EQ(code_of(load_kit(folder, end + 1)), "certificate_expired");
  EXPECT_EQ(code_of(load_kit(folder, kTestNow - pki::kDayMs)), "certificate_not_yet_valid");
  EXPECT_TRUE(load_kit_unchecked(folder));
}

TEST(Kit, RefusesSettingsThatNobodyAskedFor) {
  TestConsortium demo;
  const Kit kit = demo.site("north");
  write(kit.folder / "kit.toml", "consortium = \"demo\"\nbrokr = \"a:1\"\n");
  EXPECT_EQ(code_of(load_kit(kit.folder, kTestNow)), "kit_invalid");
  write(kit.folder / "kit.toml", "consortium = \"demo\"\nbroker = \"no-port\"\n");
  EXPECT_EQ(code_of(load_kit(kit.folder, kTestNow)), "kit_invalid");
}

TEST(Kit, NamesWhatIsMissing) {
  TestConsortium demo;
  const Kit kit = demo.site("north");
  fs::remove(kit.certificate_file);
  const auto refused = load_kit(kit.folder, kTestNow);
  ASSERT_EQ(code_of(refused), "kit_missing");
  EXPECT_NE(refused.error().message.find("cert.pem"), std::string::npos);
  EXPECT_EQ(code_of(load_kit(kit.folder / "nowhere", kTestNow)), "kit_missing");
}

TEST(Kit, RefusesAConfiguredRevocationListThatIsMissing) {
  TestConsortium demo;
  const Kit kit = demo.site("north", {.broker = {}, .proxy = {}, .crl = "../ca/crl.pem"});
  EXPECT_FALSE(kit.crl_file.empty());
  fs::remove(demo.folder() / "ca" / "crl.pem");
  EXPECT_EQ(code_of(load_kit(kit.folder, kTestNow)), "kit_missing");
}

}  // namespace
}  // namespace entente
