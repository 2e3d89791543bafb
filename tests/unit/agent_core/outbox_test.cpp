#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/agent_core/scenario.h"

namespace entente::agent {
namespace {

const Refusal kCut{"transfer_cut", "the connection ended", "", Scope::task};

// A site with one finished update in its outbox.
struct Finished : Scenario {
  Finished() {
    start();
    trainer = enrol();
    begin(order);
    announced = complete(order, trainer, blob(101));
  }
  const TaskOrder order = train(1);
  TrainerId trainer = 0;
  Effects announced;
};

TEST(Outbox, UploadsAfterTheGrantAndForgetsAfterTheVerdict) {
  Finished s;
  const Effects granted = s.hear(msg::ResultGrant{s.order.key, blob(101)});
  ASSERT_EQ(all<effect::Upload>(granted).size(), 1U);
  EXPECT_EQ(all<effect::Upload>(granted)[0].blob, blob(101));
  EXPECT_FALSE(has<effect::DropResult>(s.on(event::UploadEnded{s.order.key, std::nullopt})));
  const Effects concluded = s.hear(msg::ResultVerdict{s.order.key, std::nullopt});
  EXPECT_EQ(all<effect::DropResult>(concluded).at(0).key, s.order.key);
  EXPECT_EQ(all<effect::RemoveBlob>(concluded).at(0).blob, blob(101));
}

TEST(Outbox, LedgerKnowsEveryStepOnTheWayOut) {
  Finished s;
  const auto departure = [](const Effects& effects) {
    const auto records = all<effect::RecordDeparture>(effects);
    EXPECT_EQ(records.size(), 1U);
    return records.at(0).departure;
  };
  EXPECT_EQ(departure(s.announced), Departure::announced);
  EXPECT_EQ(departure(s.hear(msg::ResultGrant{s.order.key, blob(101)})), Departure::uploading);
  EXPECT_EQ(departure(s.hear(msg::ResultVerdict{
                s.order.key, Refusal{"stale", "the round is over", "", Scope::task}})),
            Departure::refused);
}

TEST(Outbox, NothingIsUploadedWithoutAGrantForExactlyThatBlob) {
  Finished s;
  EXPECT_TRUE(s.hear(msg::ResultGrant{s.order.key, blob(1)}).empty());
  EXPECT_TRUE(s.hear(msg::ResultGrant{Scenario::train(7).key, blob(101)}).empty());
}

TEST(Outbox, ARepeatedGrantStartsNoSecondUpload) {
  Finished s;
  s.hear(msg::ResultGrant{s.order.key, blob(101)});
  EXPECT_FALSE(has<effect::Upload>(s.hear(msg::ResultGrant{s.order.key, blob(101)})));
}

TEST(Outbox, ARepeatedVerdictIsIgnored) {
  Finished s;
  s.hear(msg::ResultVerdict{s.order.key, std::nullopt});
  EXPECT_TRUE(s.hear(msg::ResultVerdict{s.order.key, std::nullopt}).empty());
}

TEST(Outbox, ACutUploadIsToldAndTriedAgainAfterAPause) {
  Finished s;
  s.hear(msg::ResultGrant{s.order.key, blob(101)});
  const Effects cut = s.on(event::UploadEnded{s.order.key, kCut});
  EXPECT_FALSE(has<effect::Upload>(cut));
  EXPECT_EQ(all<effect::Note>(cut).at(0).event, "upload_cut");
  EXPECT_TRUE(has<effect::Upload>(s.sleep()));
}

TEST(Outbox, ACutUploadWaitsForANewGrantWhenTheSessionIsGone) {
  Finished s;
  s.hear(msg::ResultGrant{s.order.key, blob(101)});
  s.lose_session();
  s.on(event::UploadEnded{s.order.key, kCut});
  const Effects welcomed = s.reconnect();
  EXPECT_FALSE(has<effect::Upload>(welcomed));
  EXPECT_EQ(sent<msg::ResultAnnounce>(welcomed).size(), 1U);
  EXPECT_TRUE(has<effect::Upload>(s.hear(msg::ResultGrant{s.order.key, blob(101)})));
}

TEST(Outbox, ARefusedUploadIsAnnouncedAgainAfterAPause) {
  Finished s;
  s.hear(msg::ResultGrant{s.order.key, blob(101)});
  const Refusal no_room{"disk_full", "no room", "", Scope::broker};
  EXPECT_FALSE(has<effect::Upload>(s.on(event::UploadEnded{s.order.key, no_room})));
  const Effects woken = s.sleep();
  EXPECT_EQ(sent<msg::ResultAnnounce>(woken).size(), 1U);
  EXPECT_FALSE(has<effect::Upload>(woken));
  EXPECT_TRUE(has<effect::Upload>(s.hear(msg::ResultGrant{s.order.key, blob(101)})));
}

TEST(Outbox, AResultWhoseFileIsGoneFailsItsTaskForAnotherTry) {
  Finished s;
  s.hear(msg::ResultGrant{s.order.key, blob(101)});
  const Effects effects = s.on(event::UploadEnded{
      s.order.key, Refusal{"blob_missing", "the blob is not stored here", "", Scope::task}});
  EXPECT_EQ(all<effect::DropResult>(effects).at(0).key, s.order.key);
  const auto failed = sent<msg::TaskFailed>(effects);
  ASSERT_EQ(failed.size(), 1U);
  EXPECT_TRUE(failed[0].failure.transient);
}

// Two jobs of the same spec give the same bytes, and so the same blob.
TEST(Outbox, ABlobIsNotRemovedWhileItMayBeStoredForAnotherJob) {
  AgentSettings settings = Scenario::defaults();
  settings.advert.slots = 2;
  Scenario s(settings);
  s.start();
  const auto first = s.enrol("lung-1");
  const auto second = s.enrol("lung-2");
  s.begin(Scenario::train(1, 1, "lung-1"));
  s.begin(Scenario::train(1, 1, "lung-2"));
  s.complete(Scenario::train(1, 1, "lung-1"), first, blob(101));
  s.on(event::TrainerFinished{second, 640, 20, {{"loss", 0.5}}});
  const auto key = Scenario::train(1, 1, "lung-1").key;
  EXPECT_FALSE(has<effect::RemoveBlob>(s.hear(msg::ResultVerdict{key, std::nullopt})));
  const auto other = Scenario::train(1, 1, "lung-2").key;
  EXPECT_FALSE(has<effect::RemoveBlob>(s.on(event::OutputStored{other, blob(101), 4096})));
  const auto concluded = s.hear(msg::ResultVerdict{other, std::nullopt});
  EXPECT_EQ(all<effect::RemoveBlob>(concluded).at(0).blob, blob(101));
}

TEST(Outbox, ABlobThatWasKeptForAnotherJobIsRemovedWhenItIsAnother) {
  AgentSettings settings = Scenario::defaults();
  settings.advert.slots = 2;
  Scenario s(settings);
  s.start();
  const auto first = s.enrol("lung-1");
  const auto second = s.enrol("lung-2");
  s.begin(Scenario::train(1, 1, "lung-1"));
  s.begin(Scenario::train(1, 1, "lung-2"));
  s.complete(Scenario::train(1, 1, "lung-1"), first, blob(101));
  s.on(event::TrainerFinished{second, 640, 20, {{"loss", 0.5}}});
  s.hear(msg::ResultVerdict{Scenario::train(1, 1, "lung-1").key, std::nullopt});
  const auto stored =
      s.on(event::OutputStored{Scenario::train(1, 1, "lung-2").key, blob(102), 4096});
  EXPECT_EQ(all<effect::RemoveBlob>(stored).at(0).blob, blob(101));
}

TEST(Outbox, UploadProgressIsReportedAtMostOnceASecond) {
  Finished s;
  s.hear(msg::ResultGrant{s.order.key, blob(101)});
  const auto reports = sent<msg::TaskReport>(s.on(event::UploadMoved{s.order.key, 10, 4096}));
  ASSERT_EQ(reports.size(), 1U);
  EXPECT_EQ(reports[0].progress.unit, "bytes up");
  EXPECT_TRUE(s.on(event::UploadMoved{s.order.key, 20, 4096}).empty());
  s.advance(Millis(1000));
  EXPECT_EQ(sent<msg::TaskReport>(s.on(event::UploadMoved{s.order.key, 30, 4096})).size(), 1U);
}

TEST(Outbox, MetricsWithoutABlobAreAnnouncedStraightAway) {
  AgentSettings settings = Scenario::defaults();
  settings.advert.datasets.push_back({"labs", "idx", 10, {4}, 2});
  settings.policy.datasets = {"*"};
  Scenario s(settings);
  s.start();
  msg::JobOffer offer = Scenario::offer();
  offer.spec.evaluate = EvaluateSpec{"labs", 1};
  const TrainerId trainer = all<effect::StartTrainer>(s.hear(offer)).at(0).trainer;
  s.on(event::TrainerPrepared{trainer});
  TaskOrder order = Scenario::train(1);
  order.key.kind = TaskKind::evaluate;
  s.begin(order);
  const Sums sums{{"count", {20}}};
  const Effects effects = s.on(event::TrainerFinished{trainer, 20, 0, {{"accuracy", 0.9}}, sums});
  EXPECT_FALSE(has<effect::StoreOutput>(effects));
  ASSERT_EQ(sent<msg::ResultAnnounce>(effects).size(), 1U);
  EXPECT_FALSE(sent<msg::ResultAnnounce>(effects)[0].result.blob);
  EXPECT_EQ(sent<msg::ResultAnnounce>(effects)[0].result.sums, sums);
  EXPECT_EQ(all<effect::RecordDeparture>(effects).at(0).entry.result.sums, sums)
      << "the ledger has what leaves";

  order.key.round = 2;
  s.begin(order);
  const Effects few =
      s.on(event::TrainerFinished{trainer, 19, 0, {{"accuracy", 0.9}}, {{"count", {19}}}});
  EXPECT_TRUE(sent<msg::ResultAnnounce>(few).empty()) << "they tell too much of few examples";
  ASSERT_EQ(sent<msg::TaskFailed>(few).size(), 1U);
  EXPECT_THAT(sent<msg::TaskFailed>(few)[0].failure.reason.message,
              testing::HasSubstr("evaluation_examples_min"));
}

TEST(Outbox, AnAcceptedInitialModelIsKeptForTheFirstRound) {
  Scenario s;
  s.start();
  const TrainerId trainer = s.enrol();
  s.begin(Scenario::initialize());
  s.complete(Scenario::initialize(), trainer, blob(1));
  const Effects concluded = s.hear(msg::ResultVerdict{Scenario::initialize().key, std::nullopt});
  EXPECT_FALSE(has<effect::RemoveBlob>(concluded));
  const Effects offered = s.hear(msg::TaskOffer{Scenario::train(1)});
  EXPECT_FALSE(has<effect::Download>(offered));
  EXPECT_TRUE(has<effect::RunTask>(offered));
}

TEST(Outbox, AFileThatCannotBeStoredFailsTheTask) {
  Scenario s;
  s.start();
  const TrainerId trainer = s.enrol();
  s.begin(Scenario::train(1));
  s.on(event::TrainerFinished{trainer, 1, 1, {}});
  const auto failed = sent<msg::TaskFailed>(s.on(event::OutputLost{
      Scenario::train(1).key, {{"layout_mismatch", "a tensor too many", "", {}}, false}}));
  ASSERT_EQ(failed.size(), 1U);
  EXPECT_EQ(failed[0].failure.reason.code, "layout_mismatch");
}

}  // namespace
}  // namespace entente::agent
