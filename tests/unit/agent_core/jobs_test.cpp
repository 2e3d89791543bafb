#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/agent_core/scenario.h"

namespace entente::agent {
namespace {

using ::testing::HasSubstr;

std::optional<Refusal> decline_in(const Effects& effects) {
  const auto replies = sent<msg::JobReply>(effects);
  EXPECT_EQ(replies.size(), 1U);
  return replies.empty() ? std::nullopt : replies.front().decline;
}

TEST(JobOffer, IsDeclinedByTheClauseThatSaysNo) {
  Scenario s;
  s.start();
  const Effects effects = s.hear(Scenario::offer("lung-1", "bob"));
  const auto decline = decline_in(effects);
  ASSERT_TRUE(decline);
  EXPECT_EQ(decline->code, "policy_declined");
  EXPECT_EQ(decline->message, "policy clause \"coordinators\" does not list \"bob\"");
  EXPECT_FALSE(has<effect::StartTrainer>(effects)) << "the policy comes before any computation";
}

TEST(JobOffer, IsAcceptedOnlyAfterATrainerHasCheckedTheDataAndThePromiseIsJournaled) {
  Scenario s;
  s.start();
  const Effects offered = s.hear(Scenario::offer());
  ASSERT_EQ(all<effect::StartTrainer>(offered).size(), 1U);
  EXPECT_TRUE(sent<msg::JobReply>(offered).empty());
  const Effects prepared =
      s.on(event::TrainerPrepared{all<effect::StartTrainer>(offered)[0].trainer});
  EXPECT_FALSE(decline_in(prepared));
  ASSERT_EQ(all<effect::SavePromise>(prepared).size(), 1U);
  EXPECT_EQ(all<effect::SavePromise>(prepared)[0].promise.coordinator, "alice");
}

TEST(JobOffer, IsDeclinedInTheTrainersWordsWhenTheDataDoesNotFit) {
  Scenario s;
  s.start();
  const auto start = all<effect::StartTrainer>(s.hear(Scenario::offer())).at(0);
  const Effects effects = s.on(event::TrainerRefused{
      start.trainer,
      {{"shape_mismatch", "examples are [28, 28], the model wants [4]", "", {}}, false}});
  const auto decline = decline_in(effects);
  ASSERT_TRUE(decline);
  EXPECT_EQ(decline->code, "shape_mismatch");
  EXPECT_TRUE(has<effect::StopTrainer>(effects));
  const Effects again = s.hear(Scenario::offer());
  EXPECT_EQ(decline_in(again), decline);
  EXPECT_FALSE(has<effect::StartTrainer>(again));
}

TEST(JobOffer, IsCheckedAgainAfterAPassingFaultOfTheTrainer) {
  Scenario s;
  s.start();
  const auto start = all<effect::StartTrainer>(s.hear(Scenario::offer())).at(0);
  EXPECT_TRUE(decline_in(s.on(
      event::TrainerGone{start.trainer, {{"trainer_died", "the trainer died", "", {}}, true}})));
  EXPECT_TRUE(has<effect::StartTrainer>(s.hear(Scenario::offer())));
}

TEST(JobOffer, GetsTheSameAnswerWhenRepeated) {
  Scenario s;
  s.start();
  s.enrol();
  const Effects again = s.hear(Scenario::offer());
  EXPECT_FALSE(decline_in(again));
  EXPECT_FALSE(has<effect::StartTrainer>(again));
  EXPECT_FALSE(has<effect::SavePromise>(again));
}

TEST(JobOffer, IsNotAnsweredTwiceWhileATrainerChecksTheData) {
  Scenario s;
  s.start();
  s.hear(Scenario::offer());
  const Effects again = s.hear(Scenario::offer());
  EXPECT_TRUE(sent<msg::JobReply>(again).empty());
  EXPECT_FALSE(has<effect::StartTrainer>(again));
}

TEST(JobOffer, WithAnAlteredSpecIsDeclined) {
  Scenario s;
  s.start();
  const auto decline = decline_in(s.on(event::Received{Scenario::offer(), false}));
  ASSERT_TRUE(decline);
  EXPECT_EQ(decline->code, "job_altered");
}

TEST(JobOffer, WithAnotherSpecUnderAKnownNameIsDeclined) {
  Scenario s;
  s.start();
  s.enrol();
  msg::JobOffer other = Scenario::offer();
  other.spec_digest = blob(201);
  EXPECT_EQ(decline_in(s.hear(other))->code, "job_changed");
  EXPECT_FALSE(decline_in(s.hear(Scenario::offer())));
}

TEST(JobOffer, OfAMissingDatasetNamesTheNearest) {
  AgentSettings settings = Scenario::defaults();
  settings.policy.datasets = {"*"};
  Scenario s(settings);
  s.start();
  msg::JobOffer offer = Scenario::offer();
  offer.spec.train.dataset = "scanz";
  const auto decline = decline_in(s.hear(offer));
  ASSERT_TRUE(decline);
  EXPECT_EQ(decline->code, "dataset_unknown");
  EXPECT_THAT(decline->hint, HasSubstr("scans"));
}

TEST(JobOffer, IsNotDeclinedForAnEvaluationDatasetThatTheSiteLacks) {
  Scenario s;
  s.start();
  msg::JobOffer offer = Scenario::offer();
  offer.spec.evaluate = EvaluateSpec{"elsewhere", 1};
  const auto starts = all<effect::StartTrainer>(s.hear(offer));
  ASSERT_EQ(starts.size(), 1U);
  EXPECT_EQ(starts[0].evaluate_dataset, "");
}

TEST(JobOffer, OfAnEvaluationDatasetThatThePolicyDoesNotListIsDeclined) {
  AgentSettings settings = Scenario::defaults();
  settings.advert.datasets.push_back({"labs", "idx", 10, {4}, 2});
  Scenario s(settings);
  s.start();
  msg::JobOffer offer = Scenario::offer();
  offer.spec.evaluate = EvaluateSpec{"labs", 1};
  EXPECT_THAT(decline_in(s.hear(offer))->message, HasSubstr("\"labs\""));
}

TEST(JobOffer, ALayerWithinABlockFallsUnderThePolicyToo) {
  AgentSettings settings = Scenario::defaults();
  settings.policy.layers = {"linear", "residual"};
  Scenario s(settings);
  s.start();
  msg::JobOffer offer = Scenario::offer();
  LayerSpec block{"residual", "block", {}};
  block.layers = {{"dropout", "", {}}};
  offer.spec.model.layers.push_back(block);
  EXPECT_THAT(decline_in(s.hear(offer))->message, HasSubstr("\"dropout\""));
}

TEST(JobOffer, WithAModelThatCannotBeIsDeclined) {
  Scenario s;
  s.start();
  msg::JobOffer offer = Scenario::offer();
  offer.spec.model.layers[0].kind = "teleport";
  EXPECT_EQ(decline_in(s.hear(offer))->code, "model_invalid");
}

TEST(Trainers, AreBoundedAndTheLongestIdleOneMakesRoom) {
  Scenario s;
  s.start();
  const std::size_t room = s.settings.advert.slots + kSpareTrainersMax;
  TrainerId first = 0;
  for (std::size_t i = 0; i < room; ++i) {
    s.advance(Millis(10));
    const TrainerId trainer = s.enrol("lung-" + std::to_string(i));
    first = i == 0 ? trainer : first;
  }
  const Effects effects = s.hear(Scenario::offer("one-more"));
  ASSERT_EQ(all<effect::StopTrainer>(effects).size(), 1U);
  EXPECT_EQ(all<effect::StopTrainer>(effects)[0].trainer, first);
  EXPECT_EQ(all<effect::StartTrainer>(effects).size(), 1U);
}

TEST(Trainers, WaitTheirTurnWhenAllOthersArePreparing) {
  Scenario s;
  s.start();
  const std::size_t room = s.settings.advert.slots + kSpareTrainersMax;
  TrainerId first = 0;
  for (std::size_t i = 0; i < room; ++i) {
    const auto start =
        all<effect::StartTrainer>(s.hear(Scenario::offer("lung-" + std::to_string(i))));
    ASSERT_EQ(start.size(), 1U);
    first = i == 0 ? start[0].trainer : first;
  }
  EXPECT_FALSE(has<effect::StartTrainer>(s.hear(Scenario::offer("one-more"))));
  const Effects effects = s.on(event::TrainerPrepared{first});
  ASSERT_EQ(all<effect::StartTrainer>(effects).size(), 1U);
  EXPECT_EQ(all<effect::StartTrainer>(effects)[0].job.str(), "one-more");
}

TEST(Trainers, ThatIdleAreStoppedAndStartedAgainForATask) {
  Scenario s;
  s.start();
  const TrainerId trainer = s.enrol();
  s.advance(kTrainerIdleMax - Millis(1));
  EXPECT_FALSE(has<effect::StopTrainer>(s.on(event::Woke{})));
  s.advance(Millis(1));
  EXPECT_EQ(all<effect::StopTrainer>(s.on(event::Woke{})).at(0).trainer, trainer);
  const auto starts = all<effect::StartTrainer>(s.begin(Scenario::train(1)));
  ASSERT_EQ(starts.size(), 1U);
  const Effects prepared = s.on(event::TrainerPrepared{starts[0].trainer});
  EXPECT_TRUE(sent<msg::JobReply>(prepared).empty());
  EXPECT_TRUE(has<effect::RunTask>(prepared));
}

TEST(Trainers, ThatNeverFinishPreparingAreStoppedAndTheOfferIsDeclined) {
  Scenario s;
  s.start();
  s.hear(Scenario::offer());
  s.advance(kPrepareMax);
  const Effects effects = s.on(event::Woke{});
  EXPECT_TRUE(has<effect::StopTrainer>(effects));
  EXPECT_EQ(decline_in(effects)->code, "trainer_stuck");
}

TEST(JobClosed, EndsEverythingOfTheJob) {
  Scenario s;
  s.start();
  const TrainerId trainer = s.enrol();
  s.begin(Scenario::train(1));
  s.complete(Scenario::train(1), trainer, blob(101));
  s.begin(Scenario::train(2));
  const Effects effects = s.hear(msg::JobClosed{JobId::literal("lung-1"), "aborted by alice"});
  EXPECT_EQ(all<effect::StopTrainer>(effects).at(0).trainer, trainer);
  EXPECT_TRUE(has<effect::ForgetPromise>(effects));
  EXPECT_TRUE(has<effect::RemoveWorkFolder>(effects));
  std::set<BlobId> removed;
  for (const auto& it : all<effect::RemoveBlob>(effects)) {
    removed.insert(it.blob);
  }
  EXPECT_TRUE(removed.contains(blob(101)));
  EXPECT_TRUE(removed.contains(blob(2)));
  EXPECT_TRUE(s.on(event::TrainerFinished{trainer, 1, 1, {}}).empty()) << "a late word of the dead";
  const auto failed = sent<msg::TaskFailed>(s.hear(msg::TaskOffer{Scenario::train(2)}));
  ASSERT_EQ(failed.size(), 1U);
  EXPECT_EQ(failed[0].failure.reason.code, "job_unknown");
  EXPECT_FALSE(failed[0].failure.transient);
}

TEST(JobClosed, StopsTransfersUnderWay) {
  Scenario s;
  s.start();
  const TrainerId trainer = s.enrol();
  s.begin(Scenario::train(1));
  s.complete(Scenario::train(1), trainer, blob(101));
  s.hear(msg::ResultGrant{Scenario::train(1).key, blob(101)});
  s.hear(msg::TaskOffer{Scenario::train(2)});
  const Effects effects = s.hear(msg::JobClosed{JobId::literal("lung-1"), ""});
  EXPECT_TRUE(has<effect::StopUpload>(effects));
  EXPECT_TRUE(has<effect::StopDownload>(effects));
  const Effects ended =
      s.on(event::DownloadEnded{blob(2), Refusal{"stopped", "stopped", "", Scope::task}});
  EXPECT_EQ(all<effect::RemoveBlob>(ended).size(), 1U) << "what was fetched so far goes too";
}

TEST(JobClosed, KeepsAModelThatAnotherJobUses) {
  Scenario s;
  s.start();
  s.enrol("lung-1");
  s.enrol("lung-2");
  s.begin(Scenario::train(1, 1, "lung-1"));
  s.hear(msg::TaskOffer{Scenario::train(1, 1, "lung-2")});
  const Effects effects = s.hear(msg::JobClosed{JobId::literal("lung-1"), ""});
  EXPECT_FALSE(has<effect::RemoveBlob>(effects));
}

TEST(JobPaused, StopsWhatRunsAndKeepsThePromise) {
  Scenario s;
  s.start();
  const TrainerId trainer = s.enrol();
  s.begin(Scenario::train(1));
  const Effects effects = s.hear(msg::JobPaused{JobId::literal("lung-1"), "paused by alice"});
  ASSERT_EQ(all<effect::StopTrainer>(effects).size(), 1U);
  EXPECT_EQ(all<effect::StopTrainer>(effects)[0].trainer, trainer);
  EXPECT_FALSE(has<effect::ForgetPromise>(effects));
  EXPECT_FALSE(has<effect::RemoveBlob>(effects)) << "the model is wanted again";
  EXPECT_TRUE(sent<msg::TaskFailed>(effects).empty()) << "it did not fail";
  EXPECT_TRUE(s.on(event::TrainerFinished{trainer, 1, 1, {}}).empty()) << "a late word of the dead";
}

TEST(JobPaused, TheSameTaskRunsAgainWhenItIsOfferedAgain) {
  Scenario s;
  s.start();
  s.enrol();
  s.begin(Scenario::train(1));
  s.hear(msg::JobPaused{JobId::literal("lung-1"), ""});
  const auto starts = all<effect::StartTrainer>(s.hear(msg::TaskOffer{Scenario::train(1)}));
  ASSERT_EQ(starts.size(), 1U) << "the model is still there";
  const Effects running = s.on(event::TrainerPrepared{starts[0].trainer});
  ASSERT_EQ(all<effect::RunTask>(running).size(), 1U);
  EXPECT_EQ(all<effect::RunTask>(running)[0].order.key, Scenario::train(1).key);
}

TEST(JobPaused, AFinishedResultStaysAndIsAnnounced) {
  Scenario s;
  s.start();
  const TrainerId trainer = s.enrol();
  s.begin(Scenario::train(1));
  s.on(event::TrainerFinished{trainer, 640, 20, {{"loss", 0.5}}});
  s.hear(msg::JobPaused{JobId::literal("lung-1"), ""});
  const Effects stored = s.on(event::OutputStored{Scenario::train(1).key, blob(101), 4096});
  EXPECT_EQ(sent<msg::ResultAnnounce>(stored).size(), 1U) << "it was being written down";
  const Effects again = s.hear(msg::JobPaused{JobId::literal("lung-1"), ""});
  EXPECT_FALSE(has<effect::DropResult>(again));
  EXPECT_EQ(s.core.unsent_results(), 1U);
}

TEST(JobPaused, OfAJobThatIsNotKnownIsIgnored) {
  Scenario s;
  s.start();
  EXPECT_TRUE(s.hear(msg::JobPaused{JobId::literal("lung-9"), ""}).empty());
}

}  // namespace
}  // namespace entente::agent
