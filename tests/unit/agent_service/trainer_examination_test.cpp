// What trainer-test says about trainers that break the contract at once. Those that keep it, or
// break it further on, are tried in tests/integration/own_trainer_test.cpp.
#include "site-agent/service/trainer_examination.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/agent_service/temp_folder.h"

namespace entente::agent {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;

class TrainerExamination : public ::testing::Test {
 protected:
  TrainerExamination() {
    DatasetConfig patients;
    patients.name = "patients";
    patients.source = CsvFile{folder_.write("patients.csv", "age,ill\n30,0\n40,1\n")};
    patients.table.features = {"age"};
    patients.table.label = "ill";
    config_.datasets = {patients};
  }

  void use(const std::string& script) {
    config_.trainer.program = folder_.write("trainer.sh", "#!/bin/sh\n" + script);
    std::filesystem::permissions(config_.trainer.program, std::filesystem::perms::owner_all);
  }

  // The findings about a trainer that nothing can follow on.
  Finding only_finding() {
    const auto report = examine_trainer(config_, trial_, [](const Finding&) {});
    EXPECT_TRUE(report) << report.error().message;
    EXPECT_THAT(report->findings, SizeIs(1));
    EXPECT_EQ(report->findings.at(0).health, Health::fail);
    log_tail_ = report->log_tail;
    return report->findings.at(0);
  }

  TempFolder folder_;
  AgentConfig config_;
  TrainerTrial trial_;
  std::string log_tail_;
};

TEST_F(TrainerExamination, NamesALineThatIsNoReply) {
  use("echo 'loading data...'\nread line\n");
  const auto finding = only_finding();
  EXPECT_EQ(finding.check, "prepare");
  EXPECT_THAT(finding.message, HasSubstr("the trainer broke its contract: a line is not JSON"));
  EXPECT_THAT(finding.hint, HasSubstr("the contract: prepare loads the data"));
}

TEST_F(TrainerExamination, ShowsWhatATrainerThatDiedHasPrintedLast) {
  use("echo 'Traceback: no module named torch' >&2\nread line\nexit 1\n");
  EXPECT_THAT(only_finding().message, HasSubstr("exited with code 1"));
  EXPECT_EQ(log_tail_, "  Traceback: no module named torch\n");
}

TEST_F(TrainerExamination, WaitsForASilentTrainerNoLongerThanItMay) {
  use("read line\nread line\n");
  trial_.patience.silence = Millis{50};
  EXPECT_EQ(only_finding().message, "nothing was heard of it for 0.1 s");
}

// Progress keeps a task alive, and here only so long.
TEST_F(TrainerExamination, WaitsForABusyTrainerNoLongerThanItMay) {
  use("read line\nwhile echo '{\"id\":1,\"type\":\"progress\",\"done\":1,\"total\":2,"
      "\"unit\":\"examples\"}'; do :; done\n");
  trial_.patience.command = Millis{200};
  EXPECT_EQ(only_finding().message, "no answer came within 0.2 s");
}

TEST_F(TrainerExamination, ComparesTheNumberOfExamples) {
  use("read line\necho '{\"id\":1,\"type\":\"result\",\"examples\":3,\"steps\":0,\"metrics\":{}}'\n"
      "read line\n");
  EXPECT_EQ(only_finding().message, "it counts 3 examples, and the dataset has 2");
}

TEST_F(TrainerExamination, LooksForTheModelFile) {
  use("for id in 1 2; do read line; echo "
      "'{\"id\":'$id',\"type\":\"result\",\"examples\":2,\"steps\":0,\"metrics\":{}}'; done\n"
      "read line\n");
  const auto report = examine_trainer(config_, trial_, [](const Finding&) {});
  ASSERT_TRUE(report);
  ASSERT_THAT(report->findings, SizeIs(2));
  EXPECT_EQ(report->findings[1].message, "the trainer wrote no result file");
}

TEST_F(TrainerExamination, RefusesWhatIsNotThere) {
  use("");
  trial_.dataset = "doctors";
  EXPECT_EQ(examine_trainer(config_, trial_, {}).error().code, "dataset_unknown");
  trial_ = {};
  trial_.trainer = "torch";
  EXPECT_EQ(examine_trainer(config_, trial_, {}).error().code, "trainer_unknown");
  config_.trainer.named["torch"] = folder_.path() / "nothing";
  EXPECT_EQ(examine_trainer(config_, trial_, {}).error().code, "trainer_missing");
}

}  // namespace
}  // namespace entente::agent
