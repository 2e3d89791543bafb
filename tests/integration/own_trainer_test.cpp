// Trainers of a site's own: the one in Python that people are shown, in a federation beside the
// built-in one; and what `entente-agent trainer-test` says about trainers, sound and otherwise.
#include <fmt/format.h>
#include <gmock/gmock.h>

#include <map>
#include <set>

#include "tests/support/consortium.h"

namespace entente::integration {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::HasSubstr;
using testing::IsSupersetOf;

const fs::path kPythonTrainer = fs::path(ENTENTE_EXAMPLES_FOLDER) / "python-trainer/trainer.py";

// Python takes seconds to load torch, and more on a busy machine.
constexpr std::chrono::minutes kTrainerTestMax{4};

class OwnTrainer : public testing::Test {
 protected:
  static SiteSetup with_trainer(const fs::path& trainer) {
    SiteSetup setup;
    setup.trainer = trainer.string();
    return setup;
  }

  // With the Python trainer under the name "torch".
  static SiteSetup with_torch() {
    auto setup = with_trainer("entente-trainer");
    setup.more_datasets =
        fmt::format("[[trainers]]\nname = \"torch\"\nprogram = \"{}\"\n", kPythonTrainer.string());
    return setup;
  }

  static std::set<std::string> contributors(const json& model) {
    std::set<std::string> sites;
    for (const auto& part : model["contributions"]) {
      sites.insert(part["site"].get<std::string>());
    }
    return sites;
  }

  Consortium consortium_;
};

TEST_F(OwnTrainer, InPythonTrainsTogetherWithTheBuiltInOne) {
  consortium_.add_site("north", with_trainer("entente-trainer"));
  consortium_.add_site("east", with_trainer("entente-trainer"));
  consortium_.add_site("south", with_trainer(kPythonTrainer));
  consortium_.wait_for_sites(3);
  JobFile job;
  job.sites_min = 3;
  job.rounds = 3;
  const auto id = consortium_.submit(job);
  const auto ended = consortium_.wait_for_end(id, std::chrono::minutes(3));
  ASSERT_EQ(ended["state"], "completed") << ended.dump(2);
  const auto model = consortium_.ask({"model", "show", id});
  EXPECT_EQ(contributors(model), (std::set<std::string>{"east", "north", "south"}));
  for (const auto& part : model["contributions"]) {
    EXPECT_EQ(part["examples"], kExamples);
    EXPECT_EQ(part["steps"], 2 * kExamples / 16);
  }
  const double accuracy = model["evaluate_metrics"]["accuracy"];
  EXPECT_GT(accuracy, 0.9);
  EXPECT_EQ(ended["rounds_done"].back()["evaluated_at"], 3);
  EXPECT_TRUE(model["evaluate_metrics"].contains("f1_macro"))
      << "what the sites have counted adds up";
}

TEST_F(OwnTrainer, IsUsedByTheJobThatAsksForItWhereThereIsOne) {
  consortium_.add_site("north", with_torch());
  consortium_.add_site("east", with_trainer("entente-trainer"));
  consortium_.add_site("south", with_torch());
  consortium_.wait_for_sites(3);
  const auto file = consortium_.write_job(JobFile());
  const std::string id =
      consortium_.ask({"job", "submit", file.string(), "--set", "train.trainer=torch"})["job"];
  const auto ended = consortium_.wait_for_end(id, std::chrono::minutes(3));
  ASSERT_EQ(ended["state"], "completed") << ended.dump(2);
  EXPECT_EQ(contributors(consortium_.ask({"model", "show", id})),
            (std::set<std::string>{"north", "south"}));
  EXPECT_THAT(consortium_.entente({"job", "logs", id}).out,
              HasSubstr("the site has no trainer \"torch\""));
}

// The findings that are not "ok", check to message.
class TrainerTest : public OwnTrainer {
 protected:
  // Runs trainer-test on a trainer; returns its exit code.
  int examine(const fs::path& trainer, const std::vector<std::string>& options = {}) {
    consortium_.make_site("north", with_trainer(trainer));
    std::vector<std::string> arguments{"trainer-test", "--json"};
    arguments.insert(arguments.end(), options.begin(), options.end());
    const auto outcome = consortium_.at_site("north", arguments, kTrainerTestMax);
    findings_.clear();
    const auto list = json::parse(outcome.out, nullptr, false);
    EXPECT_TRUE(list.is_array()) << outcome.out << outcome.err;
    checks_ = list.size();
    for (const auto& finding : list) {
      if (finding["health"] != "ok") {
        findings_[finding["check"].get<std::string>()] = fmt::format(
            "{}: {}", finding["health"].get<std::string>(), finding["message"].get<std::string>());
      }
    }
    return outcome.code;
  }

  // The Python trainer with a flaw: lines of Python that are run before it serves.
  fs::path flawed(const std::string& flaw) {
    const auto program = consortium_.folder() / "flawed.py";
    write_text(program, fmt::format("#!/usr/bin/python3\nimport sys\n"
                                    "sys.dont_write_bytecode = True\nsys.path.insert(0, '{}')\n"
                                    "import contract, trainer\n{}\n"
                                    "contract.serve(trainer.Trainer)\n",
                                    kPythonTrainer.parent_path().string(), flaw));
    fs::permissions(program, fs::perms::owner_all);
    return program;
  }

  std::map<std::string, std::string> findings_;
  std::size_t checks_ = 0;
};

constexpr std::size_t kChecks = 19;

TEST_F(TrainerTest, FindsTheBuiltInTrainerSound) {
  EXPECT_EQ(examine("entente-trainer"), 0);
  EXPECT_EQ(findings_, (std::map<std::string, std::string>{}));
  EXPECT_EQ(checks_, kChecks);
}

TEST_F(TrainerTest, FindsTheTrainerInPythonSound) {
  EXPECT_EQ(examine(kPythonTrainer, {"--dataset", "stripes-test"}), 0);
  EXPECT_EQ(findings_, (std::map<std::string, std::string>{}));
  EXPECT_EQ(checks_, kChecks);
}

TEST_F(TrainerTest, TriesTheModelOfAJobFile) {
  const auto file = consortium_.write_job(JobFile());
  EXPECT_EQ(examine(kPythonTrainer, {"--job", file.string()}), 0);
  EXPECT_EQ(findings_, (std::map<std::string, std::string>{}));
}

// It was made for tests of brokers, and keeps as much of the contract as those need.
TEST_F(TrainerTest, FindsWhatATrainerThatLearnsNothingLeavesOut) {
  EXPECT_EQ(examine("poison-trainer"), 1);
  EXPECT_EQ(findings_.at("prepare"),
            fmt::format("fail: it counts 0 examples, and the dataset has {}", kExamples));
}

TEST_F(TrainerTest, FindsWhatNobodyWouldNoticeUntilItIsTooLate) {
  EXPECT_EQ(examine(flawed("import torch\n"
                           "trainer.Progress.add = lambda self, count: None\n"
                           "torch.manual_seed = lambda seed: torch.default_generator.seed()\n"
                           "contract.Fields.finish = lambda self: None\n"
                           "contract.check_version = lambda command: None\n")),
            1);
  EXPECT_THAT(
      findings_,
      IsSupersetOf(std::map<std::string, std::string>{
          {"initial seed", "warn: the same seed gave another model"},
          {"progress", "fail: it reported none while it trained"},
          {"same seed",
           "warn: the same seed gave another update: jobs here cannot be repeated bit for "
           "bit"},
          {"version", "fail: it accepted version 2, which does not exist"},
          {"unknown option", "fail: it accepted an option \"no_such_option\" of the optimizer"}}));
  EXPECT_FALSE(findings_.contains("train"));
}

TEST_F(TrainerTest, FindsValuesThatAreNotFinite) {
  EXPECT_EQ(
      examine(flawed("write = contract.write_tensors\n"
                     "contract.write_tensors = lambda path, tensors: write(path, "
                     "{n: t / 0 * 0 if 'update' in path else t for n, t in tensors.items()})")),
      1);
  EXPECT_THAT(findings_.at("train"), HasSubstr("finite"));
}

TEST_F(TrainerTest, FindsTensorsOfAnotherShape) {
  EXPECT_EQ(examine(flawed("write = contract.write_tensors\n"
                           "contract.write_tensors = lambda path, tensors: write(path, "
                           "{n: t.unsqueeze(0) for n, t in tensors.items()})")),
            1);
  EXPECT_THAT(findings_.at("initialize"), HasSubstr("fc.weight"));
  EXPECT_EQ(checks_, 2U) << "without a model nothing more can be said";
}

TEST_F(TrainerTest, FindsATrainerThatDoesNotEnd) {
  EXPECT_EQ(examine(flawed("import time\n"
                           "serve = contract.serve\n"
                           "contract.serve = lambda make: [serve(make), time.sleep(600)]"),
                    {"--silence", "30s"}),
            1);
  EXPECT_THAT(findings_.at("stop"), HasSubstr("runs on"));
  EXPECT_THAT(findings_.at("end of input"), HasSubstr("runs on"));
}

}  // namespace
}  // namespace entente::integration
