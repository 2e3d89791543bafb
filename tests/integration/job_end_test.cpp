// Jobs that wait, go on without a site, or end early: each says why.
#include <gmock/gmock.h>

#include "tests/support/consortium.h"
#include "tests/support/wait.h"

namespace entente::integration {
namespace {

using testing::HasSubstr;

class JobEnd : public testing::Test {
 protected:
  void add_sites(int slots = 1) {
    SiteSetup setup;
    setup.slots = slots;
    consortium_.add_site("north", setup);
    consortium_.add_site("south", setup);
    consortium_.wait_for_sites(2);
  }

  std::string reason(const nlohmann::json& job) { return job["reason"]; }

  Consortium consortium_;
};

TEST_F(JobEnd, WaitsForItsSitesAndStartsWhenTheyCome) {
  consortium_.add_site("north");
  consortium_.wait_for_sites(1);
  const auto job = consortium_.submit({});
  const auto waiting = consortium_.ask({"job", "show", job});
  EXPECT_EQ(waiting["state"], "queued");
  EXPECT_EQ(reason(waiting), "needs 2 sites at once; 1 that may take part is there");
  consortium_.add_site("south");
  EXPECT_EQ(consortium_.wait_for_end(job)["state"], "completed");
}

TEST_F(JobEnd, RoundGoesOnWithoutASiteThatStaysAway) {
  add_sites();
  consortium_.hold("north", "train-2");
  JobFile file;
  file.sites_extra = "quorum = 1";
  file.extra = "stall_window = \"2s\"";
  const auto job = consortium_.submit(file);
  (void)consortium_.wait_until_held("north", "train-2");
  consortium_.kill("north");
  const auto ended = consortium_.wait_for_end(job);
  ASSERT_EQ(ended["state"], "completed") << ended.dump(2);
  const auto receipt = consortium_.ask({"model", "show", job + "@2"});
  ASSERT_EQ(receipt["contributions"].size(), 1U);
  EXPECT_EQ(receipt["contributions"][0]["site"], "south");

  // Back again, north is told that the job is over, and takes part in the next.
  consortium_.release("north", "train-2");
  consortium_.start_agent("north");
  wait_until("north hears that the job has ended",
             [&] { return count(consortium_.log("north"), "job_closed") == 1; });
  (void)consortium_.complete({});
}

TEST_F(JobEnd, DeadlineThatPassesFailsTheJob) {
  add_sites();
  consortium_.hold("north", "train-1");
  JobFile file;
  file.extra = "deadline = \"2s\"";
  const auto ended = consortium_.wait_for_end(consortium_.submit(file));
  EXPECT_EQ(ended["state"], "failed");
  EXPECT_THAT(reason(ended), HasSubstr("its deadline has passed"));
}

TEST_F(JobEnd, TrainingThatDivergesFailsTheJobNamingTheSites) {
  add_sites();
  JobFile file;
  file.lr = 1e30;
  const auto ended = consortium_.wait_for_end(consortium_.submit(file));
  EXPECT_EQ(ended["state"], "failed");
  EXPECT_THAT(reason(ended), HasSubstr("north: "));
  EXPECT_THAT(reason(ended), HasSubstr("finite"));
}

TEST_F(JobEnd, TwoJobsAtTheSameSitesDoNotDisturbEachOther) {
  add_sites(2);
  consortium_.hold("north", "train-1");
  const auto first = consortium_.submit({});
  const auto second = consortium_.submit({});
  (void)consortium_.wait_until_held("north", "train-1");
  consortium_.release("north", "train-1");
  EXPECT_EQ(consortium_.wait_for_end(first)["state"], "completed");
  EXPECT_EQ(consortium_.wait_for_end(second)["state"], "completed");
  EXPECT_EQ(consortium_.model_hash(first), consortium_.model_hash(second));
}

TEST_F(JobEnd, ModelsOfEndedJobsSurviveARestartOfTheBroker) {
  add_sites();
  const auto job = consortium_.complete({});
  const auto before = consortium_.model_hash(job);
  EXPECT_TRUE(consortium_.stop("broker").success());
  consortium_.start_broker();
  EXPECT_EQ(consortium_.model_hash(job), before);
  const auto file = consortium_.folder() / "model";
  EXPECT_EQ(consortium_.entente({"model", "pull", job + "@1", "-o", file.string()}).code, 0);
  EXPECT_TRUE(std::filesystem::exists(file));
  const auto nowhere =
      consortium_.entente({"model", "pull", job, "-o", (file / "below" / "a file").string()});
  EXPECT_EQ(nowhere.code, 1);
  EXPECT_THAT(nowhere.err, HasSubstr("error: "));
}

}  // namespace
}  // namespace entente::integration
