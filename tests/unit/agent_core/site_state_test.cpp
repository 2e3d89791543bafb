// What a site keeps from one round to the next: kept with its update, used by the next one, and
// counted once. First what topk leaves out, which only the encoding depends on; then what training
// itself starts from.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/agent_core/scenario.h"

namespace entente::agent {
namespace {

const Refusal kStale{"stale", "the round is over", "", Scope::task};

// A job whose updates go out in topk; update and residual of round r are blobs 100 + r and 150 + r.
struct Sparse : Scenario {
  explicit Sparse(Recovered recovered = {}) : Scenario(defaults(), std::move(recovered)) {}

  static JobSpec spec() {
    auto spec = small_spec();
    spec.update.encoding = "topk";
    return spec;
  }
  static msg::JobOffer sparse_offer() {
    return {JobId::literal("lung-1"), "alice", spec(), blob(200)};
  }
  static BlobId update(Round round) { return blob(static_cast<std::uint8_t>(100 + round)); }
  static BlobId left(Round round) { return blob(static_cast<std::uint8_t>(150 + round)); }

  void enrol() {
    start();
    trainer = all<effect::StartTrainer>(hear(sparse_offer())).at(0).trainer;
    on(event::TrainerPrepared{trainer});
  }
  // Up to the trainer's answer.
  Effects finish(Round round, Attempt attempt = 1) {
    begin(train(round, attempt));
    return on(event::TrainerFinished{trainer, 640, 20, {{"loss", 0.5}}});
  }
  Effects stored(Round round, Attempt attempt = 1) {
    return on(event::OutputStored{train(round, attempt).key, update(round), 96, left(round)});
  }
  Effects accept(Round round, Attempt attempt = 1) {
    return hear(msg::ResultVerdict{train(round, attempt).key, std::nullopt});
  }
  Effects refuse(Round round) { return hear(msg::ResultVerdict{train(round).key, kStale}); }
  void run(Round round) {
    finish(round);
    stored(round);
    accept(round);
  }

  TrainerId trainer = 0;
};

std::optional<BlobId> base_of(const Effects& effects) {
  const auto stores = all<effect::StoreOutput>(effects);
  EXPECT_EQ(stores.size(), 1U);
  return stores.at(0).residual;
}

std::vector<BlobId> removed(const Effects& effects) {
  std::vector<BlobId> blobs;
  for (const auto& remove : all<effect::RemoveBlob>(effects)) {
    blobs.push_back(remove.blob);
  }
  return blobs;
}

TEST(Residuals, AreStoredInTheStepThatStoresTheirUpdate) {
  Sparse s;
  s.enrol();
  s.finish(1);
  const auto effects = s.stored(1);
  EXPECT_TRUE(has<effect::SaveResult>(effects));
  EXPECT_EQ(all<effect::SaveSiteState>(effects).at(0).state,
            (SiteState{JobId::literal("lung-1"), 1, Sparse::left(1), std::nullopt, false}));
}

TEST(Residuals, OfAnAcceptedUpdateAreWhatTheNextOneStartsFrom) {
  Sparse s;
  s.enrol();
  EXPECT_EQ(base_of(s.finish(1)), std::nullopt);
  s.stored(1);
  EXPECT_TRUE(all<effect::SaveSiteState>(s.accept(1)).at(0).state.settled);
  EXPECT_EQ(base_of(s.finish(2)), Sparse::left(1));
}

TEST(Residuals, OfARefusedUpdateAreDroppedWithIt) {
  Sparse s;
  s.enrol();
  s.run(1);
  s.finish(2);
  s.stored(2);
  const auto effects = s.refuse(2);
  EXPECT_EQ(all<effect::DropSiteState>(effects).at(0).round, 2U);
  EXPECT_THAT(removed(effects), testing::Contains(Sparse::left(2)));
  EXPECT_EQ(base_of(s.finish(3)), Sparse::left(1));
}

// An update whose fate is unknown may or may not have been sent.
TEST(Residuals, OfAnUpdateWithoutAVerdictKeepTheNextUpdateWaiting) {
  for (const bool accepted : {true, false}) {
    Sparse s;
    s.enrol();
    s.run(1);
    s.finish(2);
    s.stored(2);
    EXPECT_FALSE(has<effect::StoreOutput>(s.finish(3)));
    EXPECT_EQ(base_of(accepted ? s.accept(2) : s.refuse(2)), Sparse::left(accepted ? 2 : 1));
    EXPECT_TRUE(has<effect::SaveResult>(s.stored(3)));
  }
}

TEST(Residuals, OfARoundThatIsTrainedAgainAreMadeFromTheRoundBefore) {
  Sparse s;
  s.enrol();
  s.run(1);
  s.run(2);  // and the broker loses the update
  EXPECT_EQ(base_of(s.finish(2, 2)), Sparse::left(1));
  s.stored(2, 2);
  EXPECT_TRUE(all<effect::SaveSiteState>(s.accept(2, 2)).at(0).state.settled);
  EXPECT_EQ(base_of(s.finish(3)), Sparse::left(2));
}

TEST(Residuals, AreKeptForTwoRoundsAndNoMore) {
  Sparse s;
  s.enrol();
  s.run(1);
  s.run(2);
  s.finish(3);
  s.stored(3);
  const auto effects = s.accept(3);
  EXPECT_EQ(all<effect::DropSiteState>(effects).size(), 1U);
  EXPECT_EQ(all<effect::DropSiteState>(effects).at(0).round, 1U);
  EXPECT_THAT(removed(effects), testing::Contains(Sparse::left(1)));
  EXPECT_THAT(removed(effects), testing::Not(testing::Contains(Sparse::left(2))));
}

TEST(Residuals, GoWithTheirJob) {
  Sparse s;
  s.enrol();
  s.run(1);
  s.run(2);
  EXPECT_THAT(removed(s.hear(msg::JobClosed{JobId::literal("lung-1"), "completed"})),
              testing::IsSupersetOf({Sparse::left(1), Sparse::left(2)}));
}

TEST(Residuals, OfAnUpdateUnderALaterAttemptStay) {
  Sparse s;
  s.enrol();
  s.finish(1);
  s.stored(1);
  const auto effects = s.hear(msg::TaskOffer{Scenario::train(1, 2)});
  EXPECT_TRUE(has<effect::SaveResult>(effects));
  EXPECT_FALSE(has<effect::DropSiteState>(effects));
  s.accept(1, 2);
  EXPECT_EQ(base_of(s.finish(2)), Sparse::left(1));
}

TEST(Residuals, OfAnUpdateThatIsGoneFromTheDiskAreDropped) {
  Sparse s;
  s.enrol();
  s.finish(1);
  s.stored(1);
  s.hear(msg::ResultGrant{Scenario::train(1).key, Sparse::update(1)});
  const auto effects = s.on(
      event::UploadEnded{Scenario::train(1).key, Refusal{"blob_missing", "gone", "", Scope::site}});
  EXPECT_TRUE(has<effect::DropSiteState>(effects));
}

// What a restarted agent finds: the promise, and residuals as its journal and disk hold them.
Recovered recovered(std::vector<SiteState> states, std::vector<BlobId> blobs) {
  Recovered known;
  known.promises.push_back({JobId::literal("lung-1"), "alice", Sparse::spec(), blob(200)});
  known.states = std::move(states);
  known.blobs = std::move(blobs);
  return known;
}

SiteState residual_of(Round round, bool settled) {
  return {JobId::literal("lung-1"), round, Sparse::left(round), std::nullopt, settled};
}

TEST(Residuals, AreWhatARestartedAgentGoesOnFrom) {
  Sparse s(
      recovered({residual_of(1, true), residual_of(2, true)}, {Sparse::left(1), Sparse::left(2)}));
  s.start();
  const auto started = all<effect::StartTrainer>(s.begin(Scenario::train(3)));
  ASSERT_EQ(started.size(), 1U);
  s.trainer = started[0].trainer;
  s.on(event::TrainerPrepared{s.trainer});
  EXPECT_EQ(base_of(s.on(event::TrainerFinished{s.trainer, 640, 20, {}})), Sparse::left(2));
}

TEST(Residuals, WithoutAFileOrWithoutAnUpdateAreDroppedAtTheStart) {
  Sparse s(recovered({residual_of(1, true), residual_of(2, false)}, {Sparse::left(2)}));
  const auto effects = s.on(event::Started{});
  EXPECT_EQ(all<effect::DropSiteState>(effects).size(), 2U);
  EXPECT_THAT(removed(effects), testing::Contains(Sparse::left(2)));
}

TEST(Residuals, AreNotTakenForModelsThatNobodyWants) {
  Sparse s(recovered({residual_of(1, true)}, {Sparse::left(1), blob(77)}));
  s.start();
  s.advance(kUnclaimedModelsKept);
  EXPECT_THAT(removed(s.on(event::Woke{})), testing::ElementsAre(blob(77)));
}

TEST(Residuals, AreOfTopKAlone) {
  Scenario s;
  s.start();
  const auto trainer = s.enrol();
  s.begin(Scenario::train(1));
  const auto stores = all<effect::StoreOutput>(s.on(event::TrainerFinished{trainer, 640, 20, {}}));
  ASSERT_EQ(stores.size(), 1U);
  EXPECT_EQ(stores[0].update, UpdateSpec());
  EXPECT_FALSE(
      has<effect::SaveSiteState>(s.on(event::OutputStored{Scenario::train(1).key, blob(101), 96})));
}

// A job whose head stays at the site; update and own file of round r are blobs 100 + r and 150 + r.
struct Private : Scenario {
  explicit Private(Recovered recovered = {}) : Scenario(settings_of(), std::move(recovered)) {}

  static AgentSettings settings_of() {
    auto settings = defaults();
    settings.advert.datasets.push_back({"held-out", "idx", 64, {4}, 2});
    settings.policy.datasets.emplace_back("held-out");
    return settings;
  }
  static JobSpec spec() {
    auto spec = small_spec();
    spec.train.private_tensors = {"fc1.bias"};
    spec.evaluate = EvaluateSpec{"held-out", 1};
    return spec;
  }
  static BlobId own(Round round) { return blob(static_cast<std::uint8_t>(150 + round)); }
  static TaskOrder evaluate(Round round) {
    auto order = train(round);
    order.key.kind = TaskKind::evaluate;
    return order;
  }

  void enrol() {
    start();
    trainer = all<effect::StartTrainer>(
                  hear(msg::JobOffer{JobId::literal("lung-1"), "alice", spec(), blob(200)}))
                  .at(0)
                  .trainer;
    on(event::TrainerPrepared{trainer});
  }
  Effects finish(Round round) {
    on(event::TrainerFinished{trainer, 640, 20, {{"loss", 0.5}}});
    return on(event::OutputStored{train(round).key, blob(static_cast<std::uint8_t>(100 + round)),
                                  96, std::nullopt, own(round)});
  }
  Effects accept(Round round) { return hear(msg::ResultVerdict{train(round).key, std::nullopt}); }
  void run(Round round) {
    begin(train(round));
    finish(round);
    accept(round);
  }

  TrainerId trainer = 0;
};

effect::RunTask run_of(const Effects& effects) {
  const auto runs = all<effect::RunTask>(effects);
  EXPECT_EQ(runs.size(), 1U);
  return runs.empty() ? effect::RunTask{} : runs.front();
}

TEST(OwnTensors, AreWhatTheNextRoundIsTrainedFrom) {
  Private s;
  s.enrol();
  const auto first = run_of(s.begin(Scenario::train(1)));
  EXPECT_EQ(first.own, std::nullopt);
  EXPECT_TRUE(first.keeps_own);
  EXPECT_EQ(all<effect::SaveSiteState>(s.finish(1)).at(0).state,
            (SiteState{JobId::literal("lung-1"), 1, std::nullopt, Private::own(1), false}));
  s.accept(1);
  EXPECT_EQ(run_of(s.begin(Scenario::train(2))).own, Private::own(1));
}

TEST(OwnTensors, NeverLeaveWithAnUpdate) {
  Private s;
  s.enrol();
  s.begin(Scenario::train(1));
  const auto store =
      all<effect::StoreOutput>(s.on(event::TrainerFinished{s.trainer, 640, 20, {}})).at(0);
  ASSERT_EQ(store.layout.tensors.size(), 1U);
  EXPECT_EQ(store.layout.tensors[0].name, "fc1.weight");
  ASSERT_EQ(store.own.tensors.size(), 1U);
  EXPECT_EQ(store.own.tensors[0].name, "fc1.bias");
}

// What it would start from is not known: the broker may or may not have taken the update.
TEST(OwnTensors, KeepTheNextRoundWaitingUntilTheVerdict) {
  for (const bool accepted : {true, false}) {
    Private s;
    s.enrol();
    s.run(1);
    s.begin(Scenario::train(2));
    s.finish(2);
    EXPECT_FALSE(has<effect::RunTask>(s.begin(Scenario::train(3))));
    s.advance(kWaitingReportEvery);
    EXPECT_EQ(sent<msg::TaskReport>(s.on(event::Woke{})).size(), 1U) << "it is not forgotten";
    const auto effects = s.hear(msg::ResultVerdict{
        Scenario::train(2).key, accepted ? std::nullopt : std::optional(kStale)});
    EXPECT_EQ(run_of(effects).own, Private::own(accepted ? 2 : 1));
  }
}

TEST(OwnTensors, OfItsRoundAreWhatAnEvaluationUses) {
  Private s;
  s.enrol();
  s.run(1);
  s.run(2);
  const auto run = run_of(s.begin(Private::evaluate(2)));
  EXPECT_EQ(run.own, Private::own(2));
  EXPECT_FALSE(run.keeps_own);
}

// Its model is long in coming, while two more rounds are trained.
TEST(OwnTensors, StayAsLongAsAnEvaluationOfTheirRoundIsOpen) {
  Private s;
  s.enrol();
  s.run(1);
  auto late = Private::evaluate(1);
  late.model = blob(77);
  s.hear(msg::TaskOffer{late});
  s.run(2);
  s.begin(Scenario::train(3));
  s.finish(3);
  EXPECT_THAT(removed(s.accept(3)), testing::Not(testing::Contains(Private::own(1))));
  EXPECT_EQ(run_of(s.on(event::DownloadEnded{blob(77), std::nullopt})).own, Private::own(1));
}

// The institution's part of the model: also when the process dies before it has been handed out.
TEST(OwnTensors, AreHandedOutOnceTheyAreSettledAndAtEachStart) {
  Private s;
  s.enrol();
  s.begin(Scenario::train(1));
  EXPECT_FALSE(has<effect::HandOut>(s.finish(1)));
  EXPECT_EQ(all<effect::HandOut>(s.accept(1)).at(0).own, Private::own(1));
  Recovered known;
  known.promises.push_back({JobId::literal("lung-1"), "alice", Private::spec(), blob(200)});
  known.states = {{JobId::literal("lung-1"), 1, std::nullopt, Private::own(1), true}};
  known.blobs = {Private::own(1)};
  Private again(std::move(known));
  EXPECT_EQ(all<effect::HandOut>(again.on(event::Started{})).at(0).own, Private::own(1));
}

TEST(OwnTensors, WhoseFileIsGoneAreLeftOutAtTheStart) {
  Recovered known;
  known.promises.push_back({JobId::literal("lung-1"), "alice", Private::spec(), blob(200)});
  known.states = {{JobId::literal("lung-1"), 1, blob(7), Private::own(1), true}};
  known.blobs = {blob(7)};
  Private s(std::move(known));
  const auto effects = s.on(event::Started{});
  EXPECT_EQ(all<effect::SaveSiteState>(effects).at(0).state,
            (SiteState{JobId::literal("lung-1"), 1, blob(7), std::nullopt, true}));
  EXPECT_FALSE(has<effect::DropSiteState>(effects));
}

// SCAFFOLD: the server's control variate is fetched like the model.
TEST(Control, IsFetchedBeforeTheTaskRuns) {
  Scenario s;
  s.start();
  auto spec = small_spec();
  spec.strategy.kind = "scaffold";
  const auto trainer = all<effect::StartTrainer>(s.hear(msg::JobOffer{JobId::literal("lung-1"),
                                                                      "alice", spec, blob(200)}))
                           .at(0)
                           .trainer;
  s.on(event::TrainerPrepared{trainer});
  auto order = Scenario::train(2);
  order.control = blob(60);
  const auto offered = s.hear(msg::TaskOffer{order});
  EXPECT_EQ(all<effect::Download>(offered).size(), 2U);
  EXPECT_FALSE(has<effect::RunTask>(s.on(event::DownloadEnded{*order.model, std::nullopt})));
  const auto run = run_of(s.on(event::DownloadEnded{*order.control, std::nullopt}));
  EXPECT_EQ(run.order.control, blob(60));
  EXPECT_TRUE(run.keeps_own);
}

TEST(Control, IsRefusedByAJobThatHasNoUseForIt) {
  Scenario s;
  s.start();
  s.enrol();
  auto order = Scenario::train(2);
  order.control = blob(60);
  const auto failed = sent<msg::TaskFailed>(s.hear(msg::TaskOffer{order}));
  ASSERT_EQ(failed.size(), 1U);
  EXPECT_EQ(failed[0].failure.reason.code, "task_invalid");
}

}  // namespace
}  // namespace entente::agent
