#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "tests/unit/agent_core/scenario.h"

namespace entente::agent {
namespace {

const TaskFailure kKilled{
    {"trainer_died",
     "the trainer was killed by signal 9 (Killed): the machine ran out of memory, most likely", "",
     Scope::task},
    true};
const Refusal kCut{"transfer_cut", "the connection ended", "", Scope::task};

TEST(Task, FetchesItsModelTrainsAndAnnouncesAfterTheOutboxRow) {
  Scenario s;
  s.start();
  const TrainerId trainer = s.enrol();
  const TaskOrder order = Scenario::train(1);
  const Effects offered = s.hear(msg::TaskOffer{order});
  ASSERT_EQ(all<effect::Download>(offered).size(), 1U);
  EXPECT_FALSE(has<effect::RunTask>(offered)) << "not before the model is there";
  const auto runs = all<effect::RunTask>(s.on(event::DownloadEnded{blob(1), std::nullopt}));
  ASSERT_EQ(runs.size(), 1U);
  EXPECT_EQ(runs[0].order, order);
  const Effects finished = s.complete(order, trainer, blob(101));
  ASSERT_EQ(all<effect::SaveResult>(finished).size(), 1U);
  const auto announced = sent<msg::ResultAnnounce>(finished);
  ASSERT_EQ(announced.size(), 1U);
  EXPECT_EQ(announced[0].result.blob, blob(101));
  EXPECT_EQ(announced[0].result.examples, 640U);
  EXPECT_EQ(announced[0].result.metrics.at("loss"), 0.5);
}

TEST(Task, WhoseModelIsNotGrantedYetAsksAgainAndDoesNotFail) {
  Scenario s;
  s.start();
  s.enrol();
  s.hear(msg::TaskOffer{Scenario::train(1)});
  const Effects refused = s.on(event::DownloadEnded{
      blob(1), Refusal{"not_granted", "the broker was restarted", "", Scope::task}});
  EXPECT_TRUE(sent<msg::TaskFailed>(refused).empty()) << "it would cost an attempt";
  EXPECT_TRUE(has<effect::Download>(s.sleep()));
}

TEST(Task, DoesNotFetchAModelThatIsThere) {
  Scenario s;
  s.start();
  const TrainerId trainer = s.enrol();
  s.begin(Scenario::train(1));
  s.complete(Scenario::train(1), trainer, blob(101));
  TaskOrder next = Scenario::train(2);
  next.model = blob(1);
  const Effects effects = s.hear(msg::TaskOffer{next});
  EXPECT_FALSE(has<effect::Download>(effects));
  EXPECT_TRUE(has<effect::RunTask>(effects));
}

TEST(Task, OfALaterRoundDropsTheOlderModel) {
  Scenario s;
  s.start();
  const TrainerId trainer = s.enrol();
  s.begin(Scenario::train(1));
  s.complete(Scenario::train(1), trainer, blob(101));
  const auto removed = all<effect::RemoveBlob>(s.hear(msg::TaskOffer{Scenario::train(2)}));
  ASSERT_EQ(removed.size(), 1U);
  EXPECT_EQ(removed[0].blob, blob(1));
}

TEST(Task, OfferedAgainIsReportedNotRunTwice) {
  Scenario s;
  s.start();
  s.enrol();
  s.begin(Scenario::train(1));
  const Effects again = s.hear(msg::TaskOffer{Scenario::train(1)});
  EXPECT_EQ(sent<msg::TaskReport>(again).size(), 1U);
  EXPECT_FALSE(has<effect::RunTask>(again));
  EXPECT_FALSE(has<effect::Download>(again));
}

TEST(Task, OfferedAgainAfterItsResultIsAnnouncedAgain) {
  Scenario s;
  s.start();
  const TrainerId trainer = s.enrol();
  s.begin(Scenario::train(1));
  s.complete(Scenario::train(1), trainer, blob(101));
  const Effects again = s.hear(msg::TaskOffer{Scenario::train(1)});
  EXPECT_EQ(sent<msg::ResultAnnounce>(again).size(), 1U);
  EXPECT_FALSE(has<effect::RunTask>(again));
}

TEST(Task, UnderALaterAttemptIsAnsweredWithTheFinishedResult) {
  Scenario s;
  s.start();
  const TrainerId trainer = s.enrol();
  s.begin(Scenario::train(1));
  s.complete(Scenario::train(1), trainer, blob(101));
  const Effects effects = s.hear(msg::TaskOffer{Scenario::train(1, 2)});
  EXPECT_FALSE(has<effect::RunTask>(effects));
  ASSERT_EQ(sent<msg::ResultAnnounce>(effects).size(), 1U);
  EXPECT_EQ(sent<msg::ResultAnnounce>(effects)[0].key, Scenario::train(1, 2).key);
  EXPECT_EQ(all<effect::DropResult>(effects).at(0).key, Scenario::train(1, 1).key);
  EXPECT_EQ(all<effect::SaveResult>(effects).at(0).entry.order.key, Scenario::train(1, 2).key);
}

TEST(Task, UnderALaterAttemptWithAnotherSeedIsRunAgain) {
  Scenario s;
  s.start();
  const TrainerId trainer = s.enrol();
  s.begin(Scenario::train(1));
  s.complete(Scenario::train(1), trainer, blob(101));
  TaskOrder order = Scenario::train(1, 2);
  order.seed = 9;
  EXPECT_TRUE(has<effect::RunTask>(s.hear(msg::TaskOffer{order})));
}

TEST(Task, OfALaterAttemptEndsTheHungOneAndItsTrainer) {
  Scenario s;
  s.start();
  const TrainerId hung = s.enrol();
  s.begin(Scenario::train(1));
  const Effects effects = s.hear(msg::TaskOffer{Scenario::train(1, 2)});
  EXPECT_EQ(all<effect::StopTrainer>(effects).at(0).trainer, hung);
  const auto starts = all<effect::StartTrainer>(effects);
  ASSERT_EQ(starts.size(), 1U);
  const auto runs = all<effect::RunTask>(s.on(event::TrainerPrepared{starts[0].trainer}));
  ASSERT_EQ(runs.size(), 1U);
  EXPECT_EQ(runs[0].order.key.attempt, 2U);
}

TEST(Task, ToEvaluateALaterRoundLeavesAnEarlierEvaluationAlone) {
  AgentSettings settings = Scenario::defaults();
  settings.advert.datasets.push_back({"holdout", "idx", 100, {4}, 2});
  settings.policy.datasets.insert(settings.policy.datasets.end(), "holdout");
  Scenario s(settings);
  s.start();
  msg::JobOffer offer = Scenario::offer();
  offer.spec.evaluate = EvaluateSpec{"holdout", 1};
  const auto trainer = all<effect::StartTrainer>(s.hear(offer)).at(0).trainer;
  s.on(event::TrainerPrepared{trainer});
  TaskOrder first = Scenario::train(1);
  first.key.kind = TaskKind::evaluate;
  TaskOrder second = Scenario::train(2);
  second.key.kind = TaskKind::evaluate;
  s.begin(first);
  const Effects effects = s.begin(second);
  EXPECT_FALSE(has<effect::StopTrainer>(effects));
  const auto runs =
      all<effect::RunTask>(s.on(event::TrainerFinished{trainer, 100, 0, {{"loss", 1.0}}}));
  ASSERT_EQ(runs.size(), 1U);
  EXPECT_EQ(runs[0].order, second);
}

TEST(Task, IsReportedAtOnceAndThenAtMostOnceASecond) {
  Scenario s;
  s.start();
  const TrainerId trainer = s.enrol();
  s.begin(Scenario::train(1));
  const auto reports = [&](std::uint64_t done) {
    return sent<msg::TaskReport>(s.on(event::TrainerProgressed{trainer, {done, 640, "examples"}}))
        .size();
  };
  EXPECT_EQ(reports(32), 1U);
  EXPECT_EQ(reports(64), 0U);
  s.advance(Millis(999));
  EXPECT_EQ(reports(96), 0U);
  s.advance(Millis(1));
  EXPECT_EQ(reports(128), 1U);
}

TEST(Task, ReportsTheBytesOfItsModel) {
  Scenario s;
  s.start();
  s.enrol();
  s.hear(msg::TaskOffer{Scenario::train(1)});
  const auto reports = sent<msg::TaskReport>(s.on(event::DownloadMoved{blob(1), 50, 100}));
  ASSERT_EQ(reports.size(), 1U);
  EXPECT_EQ(reports[0].progress, (TaskProgress{50, 100, "bytes down"}));
}

TEST(Task, FailsInWordsWhenItsTrainerDiesAndTheNextTaskStartsAnother) {
  Scenario s;
  s.start();
  const TrainerId trainer = s.enrol();
  s.begin(Scenario::train(1));
  const auto failed = sent<msg::TaskFailed>(s.on(event::TrainerGone{trainer, kKilled}));
  ASSERT_EQ(failed.size(), 1U);
  EXPECT_EQ(failed[0].failure, kKilled);
  const auto starts = all<effect::StartTrainer>(s.hear(msg::TaskOffer{Scenario::train(1, 2)}));
  ASSERT_EQ(starts.size(), 1U);
  EXPECT_NE(starts[0].trainer, trainer);
}

TEST(Task, FailsWhenTheTrainerAnswersWithAnErrorAndTheTrainerStaysWarm) {
  Scenario s;
  s.start();
  const TrainerId trainer = s.enrol();
  s.begin(Scenario::train(1));
  const Effects effects =
      s.on(event::TrainerRefused{trainer, {{"diverged", "the loss is not finite", "", {}}, false}});
  EXPECT_EQ(sent<msg::TaskFailed>(effects).at(0).failure.reason.code, "diverged");
  EXPECT_FALSE(has<effect::StopTrainer>(effects));
  EXPECT_TRUE(has<effect::RunTask>(s.begin(Scenario::train(2))));
}

TEST(Task, CutsAWordyErrorToWhatAPeerAccepts) {
  Scenario s;
  s.start();
  const TrainerId trainer = s.enrol();
  s.begin(Scenario::train(1));
  const std::string wordy(limits::kPeerTextBytesMax - 1, 'x');
  const Effects effects =
      s.on(event::TrainerRefused{trainer, {{"oops", wordy + "\xc3\xa4 and on", "", {}}, false}});
  EXPECT_EQ(sent<msg::TaskFailed>(effects).at(0).failure.reason.message, wordy);
}

TEST(Task, WithAMetricThatIsNotFiniteFails) {
  Scenario s;
  s.start();
  const TrainerId trainer = s.enrol();
  s.begin(Scenario::train(1));
  const Effects effects = s.on(
      event::TrainerFinished{trainer, 1, 1, {{"loss", std::numeric_limits<double>::quiet_NaN()}}});
  EXPECT_EQ(sent<msg::TaskFailed>(effects).at(0).failure.reason.code, "not_finite");
  EXPECT_FALSE(has<effect::StoreOutput>(effects));
}

TEST(Task, ForAnotherSiteIsRefused) {
  Scenario s;
  s.start();
  s.enrol();
  TaskOrder order = Scenario::train(1);
  order.key.site = SiteId::literal("south");
  const auto failed = sent<msg::TaskFailed>(s.hear(msg::TaskOffer{order}));
  ASSERT_EQ(failed.size(), 1U);
  EXPECT_EQ(failed[0].failure.reason.code, "task_misdirected");
}

TEST(Task, ToEvaluateOnADatasetThatTheSiteLacksIsRefused) {
  Scenario s;
  s.start();
  s.enrol();
  TaskOrder order = Scenario::train(1);
  order.key.kind = TaskKind::evaluate;
  const auto failed = sent<msg::TaskFailed>(s.hear(msg::TaskOffer{order}));
  ASSERT_EQ(failed.size(), 1U);
  EXPECT_EQ(failed[0].failure.reason.code, "dataset_unknown");
}

TEST(Task, WhoseResultNobodyNeedsIsGivenUp) {
  Scenario s;
  s.start();
  s.enrol();
  s.begin(Scenario::train(1));
  const Refusal stale{"stale", "the round has the updates that it takes", "", {}};
  EXPECT_FALSE(
      has<effect::StopTrainer>(s.hear(msg::ResultVerdict{Scenario::train(1, 2).key, stale})))
      << "another attempt";
  EXPECT_TRUE(has<effect::StopTrainer>(s.hear(msg::ResultVerdict{Scenario::train(1).key, stale})))
      << "a trainer cannot drop its command";
  EXPECT_TRUE(has<effect::StartTrainer>(s.begin(Scenario::train(2))));
}

TEST(Slots, BoundWhatRunsAtOnceInTheOrderOfOffers) {
  Scenario s;
  s.start();
  const TrainerId first = s.enrol("lung-1");
  s.enrol("lung-2");
  s.enrol("lung-3");
  EXPECT_TRUE(has<effect::RunTask>(s.begin(Scenario::train(1, 1, "lung-1"))));
  EXPECT_FALSE(has<effect::RunTask>(s.begin(Scenario::train(1, 1, "lung-3"))));
  EXPECT_FALSE(has<effect::RunTask>(s.begin(Scenario::train(1, 1, "lung-2"))));
  const auto runs = all<effect::RunTask>(s.on(event::TrainerFinished{first, 1, 1, {}}));
  ASSERT_EQ(runs.size(), 1U);
  EXPECT_EQ(runs[0].order.key.job.str(), "lung-3");
}

TEST(Slots, ATaskThatWaitsForOneSaysNowAndThenThatItIsAlive) {
  Scenario s;
  s.start();
  s.enrol("lung-1");
  s.enrol("lung-2");
  s.begin(Scenario::train(1, 1, "lung-1"));
  s.begin(Scenario::train(1, 1, "lung-2"));
  for (int i = 0; i < 3; ++i) {
    const auto before = s.now.monotonic;
    const auto reports = sent<msg::TaskReport>(s.sleep());
    EXPECT_LE(s.now.monotonic - before, kWaitingReportEvery);
    ASSERT_EQ(reports.size(), 1U);
    EXPECT_EQ(reports[0].key.job.str(), "lung-2") << "the running one speaks through its progress";
  }
}

TEST(Slots, AllowAsManyJobsAsTheSiteSaysButOneTaskPerJob) {
  AgentSettings settings = Scenario::defaults();
  settings.advert.slots = 2;
  Scenario s(settings);
  s.start();
  s.enrol("lung-1");
  s.enrol("lung-2");
  EXPECT_TRUE(has<effect::RunTask>(s.hear(msg::TaskOffer{Scenario::initialize("lung-1")})));
  EXPECT_FALSE(has<effect::RunTask>(s.begin(Scenario::train(1, 1, "lung-1"))));
  EXPECT_TRUE(has<effect::RunTask>(s.begin(Scenario::train(1, 1, "lung-2"))));
}

TEST(Download, ThatIsCutIsToldAndTriedAgainAfterAPause) {
  Scenario s;
  s.start();
  s.enrol();
  s.hear(msg::TaskOffer{Scenario::train(1)});
  const Effects cut = s.on(event::DownloadEnded{blob(1), kCut});
  EXPECT_FALSE(has<effect::Download>(cut));
  EXPECT_EQ(all<effect::Note>(cut).at(0).event, "download_cut");
  ASSERT_TRUE(s.core.wake_at());
  EXPECT_GE(*s.core.wake_at() - s.now.monotonic, limits::kBackoffMin);
  EXPECT_TRUE(has<effect::Download>(s.sleep()));
}

TEST(Tasks, OfWhichTheKindOfTheJobKnowsNothingAreRefused) {
  auto settings = Scenario::defaults();
  settings.policy.kinds = {"evaluate"};
  Scenario s(settings);
  s.start();
  auto offer = Scenario::offer();
  offer.spec.kind = JobKind::evaluate;
  offer.spec.rounds = 1;
  offer.spec.evaluate = EvaluateSpec{"scans", 1};
  offer.spec.init = InitialModel{JobId::literal("lung-9"), InitialModel::Which::last, 0};
  const auto starts = all<effect::StartTrainer>(s.hear(offer));
  ASSERT_EQ(starts.size(), 1U);
  s.on(event::TrainerPrepared{starts[0].trainer});
  const auto failed = sent<msg::TaskFailed>(s.hear(msg::TaskOffer{Scenario::train(1)}));
  ASSERT_EQ(failed.size(), 1U) << "its policy has allowed to judge a model, and no more";
  EXPECT_EQ(failed[0].failure.reason.code, "task_invalid");
  auto order = Scenario::train(1);
  order.key.kind = TaskKind::evaluate;
  EXPECT_TRUE(sent<msg::TaskFailed>(s.hear(msg::TaskOffer{order})).empty());
}

TEST(Download, ThatTheBrokerRefusesFailsTheTask) {
  Scenario s;
  s.start();
  s.enrol();
  s.hear(msg::TaskOffer{Scenario::train(1)});
  const auto failed = sent<msg::TaskFailed>(
      s.on(event::DownloadEnded{blob(1), Refusal{"blob_unknown", "no such blob", "", {}}}));
  ASSERT_EQ(failed.size(), 1U);
  EXPECT_EQ(failed[0].failure.reason.code, "blob_unknown");
  EXPECT_TRUE(failed[0].failure.transient);
}

TEST(Download, GoesOnWithTheNextSession) {
  Scenario s;
  s.start();
  s.enrol();
  s.hear(msg::TaskOffer{Scenario::train(1)});
  s.lose_session();
  s.on(event::DownloadEnded{blob(1), kCut});
  EXPECT_TRUE(has<effect::Download>(s.reconnect()));
}

}  // namespace
}  // namespace entente::agent
