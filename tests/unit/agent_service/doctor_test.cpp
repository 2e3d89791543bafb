// What the doctor finds at a site that is well, and at one where a single thing is wrong.
#include "site-agent/service/doctor.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "certs/authority.h"
#include "certs/kit_folder.h"
#include "common/runtime/system_clock.h"
#include "tests/unit/agent_service/scripted_broker.h"
#include "tests/unit/agent_service/temp_folder.h"

namespace entente::agent {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
namespace fs = std::filesystem;

class Doctor : public ::testing::Test {
 protected:
  Doctor() {
    file_ = folder_.write("agent.toml", "");
    allow(file_, fs::perms::owner_read | fs::perms::owner_write);
    broker_ = std::make_unique<ScriptedBroker>(
        kit({Role::broker, "hub", {{"localhost"}, {"127.0.0.1"}}}, 90), folder_.path() / "blobs");
    config_.kit = kit({Role::site, "north", {}}, 90).folder;
    config_.data_dir = folder_.path() / "data";
    config_.broker = broker_->address();
    config_.trainer.program = trainer(
        "read line; echo '{\"id\":1,\"type\":\"result\","
        "\"examples\":0,\"steps\":0,\"metrics\":{}}'");
    DatasetConfig patients;
    patients.name = "patients";
    patients.source = CsvFile{folder_.write("patients.csv", "age,ill\n30,0\n40,1\n")};
    patients.table.features = {"age"};
    patients.table.label = "ill";
    config_.datasets = {patients};
    config_.policy = {{"alice"}, {"patients"}, {"train"}};
  }

  static void allow(const fs::path& path, fs::perms perms) { fs::permissions(path, perms); }

  fs::path trainer(const std::string& script) const {
    const auto program = folder_.write("trainer.sh", "#!/bin/sh\n" + script + "\n");
    allow(program, fs::perms::owner_all);
    return program;
  }

  Kit kit(const pki::Member& member, int days) {
    const UnixMillis now = system_now().unix_ms;
    const auto folder = folder_.path() / fmt::format("{}-{}", member.name, days);
    const auto issued = pki::issue_kit(authority_, member, {},
                                       {now - pki::kDayMs, now + days * pki::kDayMs}, folder);
    EXPECT_TRUE(issued) << issued.error().message;
    return load_kit(folder, now).value();
  }

  // The one finding of that check, as "health: message; hint".
  [[nodiscard]] std::string finding(const std::string& check) const {
    std::string found;
    for (const Finding& one : examine(config_, file_)) {
      if (one.check == check) {
        EXPECT_EQ(found, "") << "two findings";
        const char* health = one.health == Health::ok     ? "ok"
                             : one.health == Health::warn ? "warn"
                                                          : "fail";
        found = fmt::format("{}: {}; {}", health, one.message, one.hint);
      }
    }
    return found;
  }

  TempFolder folder_;
  pki::Authority authority_ =
      pki::Authority::create(folder_.path() / "ca", ConsortiumId::literal("test"),
                             system_now().unix_ms - pki::kDayMs)
          .value();
  fs::path file_;
  std::unique_ptr<ScriptedBroker> broker_;
  AgentConfig config_;
};

TEST_F(Doctor, FindsNothingToDoAtASiteThatIsWell) {
  const auto findings = examine(config_, file_);
  for (const Finding& one : findings) {
    if (one.check != "clock" && one.check != "disk") {  // the test machine's own matter
      EXPECT_EQ(one.health, Health::ok) << one.check << ": " << one.message << "; " << one.hint;
    }
  }
  const auto text = to_text(findings);
  EXPECT_THAT(text, HasSubstr("site/north of test, key private, certificate until "));
  EXPECT_THAT(text, HasSubstr("2 examples of shape [1]"));
  EXPECT_THAT(text, HasSubstr(broker_->address() + " answers as "));
  const auto json = nlohmann::json::parse(to_json_text(findings));
  ASSERT_EQ(json.size(), findings.size());
  EXPECT_EQ(json[0]["check"], "agent.toml");
  EXPECT_EQ(json[0]["health"], "ok");
  EXPECT_FALSE(fs::exists(config_.data_dir)) << "nothing is changed";
}

TEST_F(Doctor, NamesAnUnreadableDatasetAndWhatToDo) {
  folder_.write("patients.csv", "age,ill\n30,0\nforty,1\n");
  EXPECT_THAT(finding("dataset patients"),
              AllOf(HasSubstr("fail: patients.csv:3: column \"age\" has text"),
                    HasSubstr("docs/datasets.md")));
  folder_.write("patients.csv", "age,ill\n");
  EXPECT_THAT(finding("dataset patients"), HasSubstr("warn: has no examples"));
  config_.datasets.clear();
  EXPECT_THAT(finding("datasets"), HasSubstr("warn: agent.toml names none"));
}

TEST_F(Doctor, SeesPermissionsThatGiveTheSiteAway) {
  allow(file_, fs::perms::owner_all | fs::perms::group_write);
  EXPECT_THAT(finding("agent.toml"), HasSubstr("fail: others than its owner may change it"));
  allow(file_, fs::perms::owner_all | fs::perms::group_read);
  EXPECT_THAT(finding("agent.toml"), HasSubstr("ok: "));
  config_.datasets[0].source = PostgresQuery{"host=/nowhere password=s3cret", "SELECT 1"};
  EXPECT_THAT(finding("agent.toml"),
              AllOf(HasSubstr("warn: has a password"), Not(HasSubstr("s3cret"))));
  allow(config_.kit / "key.pem", fs::perms::owner_all | fs::perms::others_read);
  EXPECT_THAT(finding("kit"), HasSubstr("fail: "));
  fs::create_directory(config_.data_dir);
  allow(config_.data_dir, fs::perms::owner_all | fs::perms::others_read);
  EXPECT_THAT(finding("data_dir"), HasSubstr("warn: "));
}

TEST_F(Doctor, WarnsBeforeACertificateEnds) {
  config_.kit = kit({Role::site, "north", {}}, 10).folder;
  EXPECT_THAT(finding("kit"), AllOf(HasSubstr("warn: "), HasSubstr("renew it in time")));
  config_.kit = folder_.path() / "no-kit";
  EXPECT_THAT(finding("kit"), HasSubstr("fail: "));
  EXPECT_EQ(finding("broker"), "") << "without a kit nobody can be greeted";
}

TEST_F(Doctor, SaysWhyATrainerDoesNotStart) {
  config_.trainer.program = trainer("exit 3");
  EXPECT_THAT(finding("trainer"), AllOf(HasSubstr("fail: "), HasSubstr("exited with code 3")));
  config_.trainer.program = trainer("echo hello");
  EXPECT_THAT(finding("trainer"), HasSubstr("fail: "));
  config_.trainer.program = folder_.path() / "absent";
  EXPECT_THAT(finding("trainer"), HasSubstr("there is no trainer program at "));
}

TEST_F(Doctor, SaysWhyTheBrokerDoesNotAnswer) {
  broker_.reset();
  EXPECT_THAT(finding("broker"), HasSubstr("fail: "));
}

TEST_F(Doctor, WarnsOfAPolicyThatRefusesEverything) {
  config_.policy.kinds.clear();
  EXPECT_THAT(finding("policy"), HasSubstr("warn: kinds is empty, so every job is refused"));
}

}  // namespace
}  // namespace entente::agent
