// Agents and trainers are killed in the middle of a job: what was finished is delivered, what was
// not is done again, and the model is the same.
#include <gmock/gmock.h>
#include <signal.h>

#include "tests/support/consortium.h"
#include "tests/support/process_probe.h"
#include "tests/support/wait.h"

namespace entente::integration {
namespace {

using testing::HasSubstr;

class SiteCrash : public testing::Test {
 protected:
  SiteCrash() {
    consortium_.add_site("north");
    consortium_.add_site("south");
    consortium_.wait_for_sites(2);
  }

  void expect_undisturbed(const std::string& job) {
    const auto ended = consortium_.wait_for_end(job);
    ASSERT_EQ(ended["state"], "completed") << ended.dump(2);
    EXPECT_EQ(consortium_.model_hash(job), consortium_.model_hash(consortium_.complete({})));
  }

  Consortium consortium_;
};

TEST_F(SiteCrash, OfAnAgentThatTrainsRepeatsTheTaskOnly) {
  consortium_.hold("north", "train-2");
  const auto job = consortium_.submit({});
  const auto trainer = consortium_.wait_until_held("north", "train-2");
  consortium_.kill("north");
  wait_until("the trainer is gone with its agent", [&] { return !is_alive(trainer); });
  consortium_.start_agent("north");
  (void)consortium_.wait_until_held("north", "train-2", trainer);
  consortium_.release("north", "train-2");
  expect_undisturbed(job);
  EXPECT_EQ(count(consortium_.log("north"), "task_started  round 1: train  job=stripes-1"), 1U);
}

TEST_F(SiteCrash, OfAnAgentWithAFinishedUpdateDeliversItWithoutTrainingAgain) {
  consortium_.hold("north", "train-1");
  const auto job = consortium_.submit({});
  (void)consortium_.wait_until_held("north", "train-1");
  consortium_.kill("broker");  // so that the update cannot leave
  consortium_.release("north", "train-1");
  wait_until("the update is finished",
             [&] { return count(consortium_.log("north"), "round 1: train is finished") == 1; });
  consortium_.kill("north");
  consortium_.start_broker();
  consortium_.start_agent("north");
  expect_undisturbed(job);
  EXPECT_EQ(count(consortium_.log("north"), "task_started  round 1: train  job=stripes-1"), 1U);
}

TEST_F(SiteCrash, OfATrainerTriesItsTaskAgain) {
  consortium_.hold("north", "train-1");
  const auto job = consortium_.submit({});
  const auto trainer = consortium_.wait_until_held("north", "train-1");
  ASSERT_EQ(::kill(trainer, SIGKILL), 0);
  EXPECT_NE(consortium_.wait_until_held("north", "train-1", trainer), trainer);
  consortium_.release("north", "train-1");
  expect_undisturbed(job);
  bool was_told = false;
  for (const auto& event : consortium_.events(job)) {
    was_told = was_told || event["kind"] == "task_failed";
  }
  EXPECT_TRUE(was_told);
}

TEST_F(SiteCrash, OfEveryTrainerFailsTheJobNamingTheSignal) {
  consortium_.hold("north", "train-1");
  const auto job = consortium_.submit({});
  const auto first = consortium_.wait_until_held("north", "train-1");
  ASSERT_EQ(::kill(first, SIGKILL), 0);
  const auto second = consortium_.wait_until_held("north", "train-1", first);
  ASSERT_EQ(::kill(second, SIGKILL), 0);
  const auto ended = consortium_.wait_for_end(job);
  EXPECT_EQ(ended["state"], "failed");
  EXPECT_THAT(ended["reason"].get<std::string>(),
              HasSubstr("north: the trainer was killed by signal 9 (Killed)"));
}

TEST_F(SiteCrash, OfOneSiteDoesNotEndARoundThatHasItsQuorum) {
  consortium_.hold("north", "train-1");
  JobFile job;
  job.sites_extra = "quorum = 1";
  const auto id = consortium_.submit(job);
  const auto first = consortium_.wait_until_held("north", "train-1");
  ASSERT_EQ(::kill(first, SIGKILL), 0);
  const auto second = consortium_.wait_until_held("north", "train-1", first);
  ASSERT_EQ(::kill(second, SIGKILL), 0);
  const auto ended = consortium_.wait_for_end(id);
  EXPECT_EQ(ended["state"], "completed") << ended.dump(2);
  EXPECT_EQ(consortium_.ask({"model", "show", id + "@1"})["contributions"].size(), 1U);
  EXPECT_EQ(consortium_.ask({"model", "show", id + "@2"})["contributions"].size(), 2U);
}

}  // namespace
}  // namespace entente::integration
