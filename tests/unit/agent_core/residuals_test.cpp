// What topk leaves out of an update: kept with it, used by the next one, and counted once.
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
  EXPECT_EQ(all<effect::SaveResidual>(effects).at(0).residual,
            (Residual{JobId::literal("lung-1"), 1, Sparse::left(1), false}));
}

TEST(Residuals, OfAnAcceptedUpdateAreWhatTheNextOneStartsFrom) {
  Sparse s;
  s.enrol();
  EXPECT_EQ(base_of(s.finish(1)), std::nullopt);
  s.stored(1);
  EXPECT_TRUE(all<effect::SaveResidual>(s.accept(1)).at(0).residual.settled);
  EXPECT_EQ(base_of(s.finish(2)), Sparse::left(1));
}

TEST(Residuals, OfARefusedUpdateAreDroppedWithIt) {
  Sparse s;
  s.enrol();
  s.run(1);
  s.finish(2);
  s.stored(2);
  const auto effects = s.refuse(2);
  EXPECT_EQ(all<effect::DropResidual>(effects).at(0).round, 2U);
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
  EXPECT_TRUE(all<effect::SaveResidual>(s.accept(2, 2)).at(0).residual.settled);
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
  EXPECT_EQ(all<effect::DropResidual>(effects).size(), 1U);
  EXPECT_EQ(all<effect::DropResidual>(effects).at(0).round, 1U);
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
  EXPECT_FALSE(has<effect::DropResidual>(effects));
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
  EXPECT_TRUE(has<effect::DropResidual>(effects));
}

// What a restarted agent finds: the promise, and residuals as its journal and disk hold them.
Recovered recovered(std::vector<Residual> residuals, std::vector<BlobId> blobs) {
  Recovered known;
  known.promises.push_back({JobId::literal("lung-1"), "alice", Sparse::spec(), blob(200)});
  known.residuals = std::move(residuals);
  known.blobs = std::move(blobs);
  return known;
}

Residual residual_of(Round round, bool settled) {
  return {JobId::literal("lung-1"), round, Sparse::left(round), settled};
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
  EXPECT_EQ(all<effect::DropResidual>(effects).size(), 2U);
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
      has<effect::SaveResidual>(s.on(event::OutputStored{Scenario::train(1).key, blob(101), 96})));
}

}  // namespace
}  // namespace entente::agent
