#include "coordinator/pki_command.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <nlohmann/json.hpp>

#include "common/crypto/kit.h"

namespace entente::cli {
namespace {

namespace fs = std::filesystem;

class PkiCommand : public testing::Test {
 protected:
  PkiCommand() {
    std::string name = (fs::temp_directory_path() / "entente-pki-XXXXXX").native();
    EXPECT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  ~PkiCommand() override {
    std::error_code ignored;
    fs::remove_all(folder_, ignored);
  }

  // Runs `entente pki ...`; what it printed is in out_ and err_.
  ExitCode run(std::vector<std::string> words) {
    CLI::App app;
    Action chosen;
    add_pki_command(app, options_, chosen);
    words.insert(words.begin(), "pki");
    std::reverse(words.begin(), words.end());
    testing::internal::CaptureStdout();
    testing::internal::CaptureStderr();
    ExitCode code = ExitCode::usage;
    try {
      app.parse(words);
      code = chosen();
    } catch (const CLI::ParseError&) {
      code = ExitCode::usage;
    }
    fflush(stdout);
    out_ = testing::internal::GetCapturedStdout();
    err_ = testing::internal::GetCapturedStderr();
    return code;
  }
  [[nodiscard]] std::string at(const char* name) const { return (folder_ / name).native(); }
  void init() {
    ASSERT_EQ(run({"init", "--consortium", "demo", "--dir", at("ca")}), ExitCode::done) << err_;
  }

  fs::path folder_;
  Options options_;
  std::string out_;
  std::string err_;
};

TEST_F(PkiCommand, IssuesKitsThatLoad) {
  init();
  ASSERT_EQ(run({"issue", "broker", "main", "--ca", at("ca"), "--dns", "localhost", "--ip",
                 "127.0.0.1", "--out", at("broker")}),
            ExitCode::done)
      << err_;
  ASSERT_EQ(run({"issue", "site", "north", "--ca", at("ca"), "--broker", "localhost:7117", "--out",
                 at("kits/north")}),
            ExitCode::done)
      << err_;
  EXPECT_TRUE(load_kit_unchecked(at("broker")));
  EXPECT_TRUE(load_kit_unchecked(at("kits/north")));
  EXPECT_EQ(run({"inspect", at("kits/north")}), ExitCode::done) << err_;
  EXPECT_NE(out_.find("site/north of demo"), std::string::npos) << out_;
}

TEST_F(PkiCommand, EnrolsAMemberWithoutItsKey) {
  init();
  ASSERT_EQ(run({"request", "--out", at("north")}), ExitCode::done) << err_;
  ASSERT_EQ(run({"sign", "site", "north", "--ca", at("ca"), "--csr", at("north/request.csr"),
                 "--broker", "localhost:7117", "--answer", at("answer")}),
            ExitCode::done)
      << err_;
  for (const char* file : {"cert.pem", "ca.pem", "kit.toml"}) {
    fs::copy_file(folder_ / "answer" / file, folder_ / "north" / file);
  }
  const auto kit = load_kit_unchecked(at("north"));
  ASSERT_TRUE(kit) << kit.error().message;
  EXPECT_EQ(kit->identity.path(), "site/north");

  ASSERT_EQ(run({"sign", "site", "north", "--ca", at("ca"), "--csr", at("north/request.csr"),
                 "--out", at("cert.pem")}),
            ExitCode::done)
      << err_;
  EXPECT_TRUE(fs::exists(at("cert.pem")));
}

TEST_F(PkiCommand, RevokesByMemberOrSerialOrOnlyRefreshes) {
  init();
  ASSERT_EQ(run({"issue", "site", "north", "--ca", at("ca"), "--broker", "b:1", "--out", at("n")}),
            ExitCode::done);
  EXPECT_EQ(run({"revoke", "--ca", at("ca"), "--refresh"}), ExitCode::done) << err_;
  EXPECT_EQ(run({"revoke", "site", "north", "--ca", at("ca")}), ExitCode::done) << err_;
  EXPECT_EQ(run({"revoke", "site", "north", "--ca", at("ca")}), ExitCode::refused);
  EXPECT_EQ(run({"revoke", "--serial", "AB", "--ca", at("ca")}), ExitCode::refused);
  EXPECT_EQ(run({"revoke", "--ca", at("ca")}), ExitCode::usage);
}

TEST_F(PkiCommand, TellsWrongUsageFromRefusal) {
  init();
  EXPECT_EQ(run({"issue", "king", "north", "--ca", at("ca"), "--out", at("n")}), ExitCode::usage);
  EXPECT_EQ(run({"issue", "site", "Bad Name", "--ca", at("ca"), "--out", at("n")}),
            ExitCode::usage);
  EXPECT_EQ(run({"issue", "site", "north", "--ca", at("ca"), "--out", at("n")}), ExitCode::usage)
      << "a site's kit needs --broker";
  for (const char* endpoint : {"HOST:PORT", "b", "b:0", ":1", "b:1:2"}) {
    EXPECT_EQ(
        run({"issue", "site", "north", "--ca", at("ca"), "--broker", endpoint, "--out", at("n")}),
        ExitCode::usage)
        << endpoint;
  }
  EXPECT_EQ(run({"issue", "broker", "main", "--ca", at("ca"), "--out", at("n")}), ExitCode::usage)
      << "a broker's kit needs --dns or --ip";
  EXPECT_EQ(
      run({"issue", "site", "north", "--ca", at("nothing"), "--broker", "b:1", "--out", at("n")}),
      ExitCode::refused);
  EXPECT_TRUE(err_.starts_with("error: ")) << err_;
  EXPECT_NE(err_.find("\nhint: "), std::string::npos) << err_;
  EXPECT_FALSE(fs::exists(at("n")));
}

TEST_F(PkiCommand, PrintsOneJsonObjectForPrograms) {
  options_.json = true;
  init();
  EXPECT_EQ(nlohmann::json::parse(out_).at("consortium"), "demo");
  ASSERT_EQ(run({"issue", "site", "north", "--ca", at("ca"), "--broker", "b:1", "--out", at("n")}),
            ExitCode::done);
  const auto issued = nlohmann::json::parse(out_);
  EXPECT_EQ(issued.at("identity"), "spiffe://demo/site/north");
  ASSERT_EQ(run({"inspect", at("n")}), ExitCode::done);
  const auto seen = nlohmann::json::parse(out_);
  EXPECT_EQ(seen.at("identity").at("name"), "north");
  EXPECT_EQ(seen.at("sha256"), issued.at("sha256"));
  EXPECT_EQ(seen.at("client_auth"), true);
  EXPECT_TRUE(seen.at("problem").is_null());
  EXPECT_EQ(run({"inspect", at("nothing")}), ExitCode::refused);
  EXPECT_EQ(nlohmann::json::parse(err_).at("error"), "kit_missing");
}

}  // namespace
}  // namespace entente::cli
