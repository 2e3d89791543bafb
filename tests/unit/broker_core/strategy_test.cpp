// What the core does for a strategy: weights, the state of the server's optimiser, and what it
// refuses of a site.
#include <gmock/gmock.h>

#include <algorithm>
#include <limits>

#include "broker/core/weights.h"
#include "common/base/limits.h"
#include "common/domain/layers.h"
#include "tests/unit/broker_core/scenario.h"

namespace entente::broker {
namespace {

using testing::DoubleEq;
using testing::ElementsAre;
using testing::HasSubstr;

TaskRow done(const std::string& site, std::uint64_t examples, std::uint64_t steps) {
  TaskRow row;
  row.key.site = SiteId::literal(site);
  row.result.examples = examples;
  row.result.steps = steps;
  return row;
}

TEST(MergeWeights, AreWhatTheStrategyCountsBy) {
  const auto east = done("east", 100, 7);
  const auto north = done("north", 300, 2);
  const std::vector<const TaskRow*> updates{&east, &north};
  StrategySpec strategy;
  EXPECT_THAT(merge_weights(strategy, updates), ElementsAre(100, 300));
  strategy.weights = Weighting::steps;
  EXPECT_THAT(merge_weights(strategy, updates), ElementsAre(7, 2));
  strategy.weights = Weighting::uniform;
  EXPECT_THAT(merge_weights(strategy, updates), ElementsAre(1, 1));
  strategy.weights = Weighting::given;
  strategy.site_weights = {{SiteId::literal("north"), 2.5}};
  EXPECT_THAT(merge_weights(strategy, updates), ElementsAre(1, 2.5));
}

TEST(MergeWeights, AreAllTheSameForARuleThatWeighsNothing) {
  const auto east = done("east", 100, 7);
  const auto north = done("north", 300, 2);
  StrategySpec strategy;
  strategy.kind = "median";
  EXPECT_THAT(merge_weights(strategy, {&east, &north}), ElementsAre(1, 1));
}

TEST(CapShares, LowersNobodyWhoIsBelow) {
  EXPECT_THAT(cap_shares({1, 2, 3}, 0.5), ElementsAre(1, 2, 3));
}

TEST(CapShares, TakesOffWhatIsAboveTheShareOfTheResult) {
  // 3 of 3 + 1 + 2 is half; 4 of 4 + 4 + 1 + 1 is two fifths, for two sites.
  EXPECT_THAT(cap_shares({100, 1, 2}, 0.5), ElementsAre(3, 1, 2));
  EXPECT_THAT(cap_shares({50, 1, 100, 1}, 0.4), ElementsAre(DoubleEq(4), 1, DoubleEq(4), 1));
}

TEST(CapShares, MakesAllTheSameWhereTheSharesOnlyJustAddUp) {
  EXPECT_THAT(cap_shares({8, 1, 2, 4}, 0.25), ElementsAre(1, 1, 1, 1));
}

JobSpec with_strategy(const std::string& kind) {
  auto spec = RunningJob::three_site_spec();
  spec.strategy.kind = kind;
  return spec;
}

Effects deliver_all(RunningJob& it, Round round) {
  it.deliver(it.east, it.train("east", round), blob(1));
  it.deliver(it.north, it.train("north", round), blob(2));
  return it.deliver(it.south, it.train("south", round), blob(3));
}

TEST(ServerState, OfARoundIsWhatTheNextMergeStartsFrom) {
  RunningJob it(with_strategy("fedadam"));
  EXPECT_FALSE(all<StartMerge>(deliver_all(it, 1)).at(0).server_state);
  it.merged(it.id, 1, blob(101), blob(201));
  EXPECT_EQ(it.store.round(it.id, 1)->server_state, blob(201));
  EXPECT_EQ(it.store.models().back().server_state, blob(201));
  EXPECT_EQ(all<StartMerge>(deliver_all(it, 2)).at(0).server_state, blob(201));
}

TEST(ServerState, IsStillThereAfterARestartInTheMiddleOfAMerge) {
  RunningJob it(with_strategy("fedadam"));
  deliver_all(it, 1);
  it.merged(it.id, 1, blob(101), blob(201));
  deliver_all(it, 2);
  EXPECT_EQ(all<StartMerge>(it.restart()).at(0).server_state, blob(201));
}

std::vector<BlobId> dropped(const Effects& effects) {
  std::vector<BlobId> blobs;
  for (const auto& drop : all<DropBlob>(effects)) {
    blobs.push_back(drop.blob);
  }
  return blobs;
}

TEST(ServerState, IsDroppedWhenALaterOneIsRecordedAndWhenTheJobEnds) {
  RunningJob it(with_strategy("fedadam"));
  deliver_all(it, 1);
  EXPECT_THAT(dropped(it.merged(it.id, 1, blob(101), blob(201))),
              testing::Not(testing::Contains(blob(201))));
  deliver_all(it, 2);
  const auto effects = dropped(it.merged(it.id, 2, blob(102), blob(202)));
  EXPECT_EQ(it.state(it.id), JobState::completed);
  EXPECT_THAT(effects, testing::Contains(blob(201)));
  EXPECT_THAT(effects, testing::Contains(blob(202)));
}

TEST(ServerState, IsKeptWhileAJobOfTheSameSpecMayComeToTheSameBytes) {
  RunningJob it(with_strategy("fedadam"));
  it.submit(with_strategy("fedadam"));
  deliver_all(it, 1);
  it.merged(it.id, 1, blob(101), blob(201));
  deliver_all(it, 2);
  EXPECT_THAT(dropped(it.merged(it.id, 2, blob(102), blob(202))),
              testing::Not(testing::Contains(blob(201))));
}

TaskResult result_with(std::uint64_t steps, Metrics metrics) {
  TaskResult result;
  result.blob = blob(1);
  result.blob_bytes = 300;
  result.examples = 100;
  result.steps = steps;
  result.metrics = std::move(metrics);
  return result;
}

std::string verdict(RunningJob& it, const TaskResult& result) {
  const auto effects = it.hear(it.east, msg::ResultAnnounce{it.train("east"), result});
  const auto verdicts = sent<msg::ResultVerdict>(effects, it.east);
  return verdicts.empty() || !verdicts[0].refusal ? "" : verdicts[0].refusal->code;
}

TEST(QFedAvgJob, RefusesAResultThatDoesNotSayTheLossBeforeTraining) {
  RunningJob it(with_strategy("qfedavg"));
  EXPECT_EQ(verdict(it, result_with(1, {{"loss", 1.0}})), "loss_missing");
}

TEST(QFedAvgJob, HandsTheLossesToTheMerge) {
  RunningJob it(with_strategy("qfedavg"));
  EXPECT_EQ(verdict(it, result_with(1, {{"loss_before", 2.5}})), "");
  it.arrive(it.train("east"), blob(1));
  for (const auto& [session, site, number] :
       {std::tuple(it.north, "north", 2), std::tuple(it.south, "south", 3)}) {
    auto result = result_with(1, {{"loss_before", 1.5}});
    result.blob = blob(static_cast<std::uint8_t>(number));
    it.hear(session, msg::ResultAnnounce{it.train(site), result});
    if (std::string(site) == "north") {
      it.arrive(it.train(site), *result.blob);
    }
  }
  const auto merges = all<StartMerge>(it.arrive(it.train("south"), blob(3)));
  ASSERT_EQ(merges.size(), 1U);
  EXPECT_EQ(merges[0].updates[0].loss, 2.5);
  EXPECT_EQ(merges[0].updates[1].loss, 1.5);
  EXPECT_GT(merges[0].local_lr, 0);
}

// 100 examples in batches of 32, one epoch: 4 steps.
TEST(FedNovaJob, RefusesStepsThatDoNotFollowFromTheEpochs) {
  RunningJob it(with_strategy("fednova"));
  for (const std::uint64_t steps : {0U, 5U}) {
    RunningJob other(with_strategy("fednova"));
    EXPECT_EQ(verdict(other, result_with(steps, {})), "steps_invalid") << steps;
  }
  EXPECT_EQ(verdict(it, result_with(4, {})), "");
}

TEST(FedNovaJob, HandsStepsAndSolverToTheMerge) {
  auto spec = with_strategy("fednova");
  spec.train.optimizer.momentum = 0.9;
  spec.train.local_epochs = 3;
  RunningJob it(spec);
  const auto merges = all<StartMerge>(deliver_all(it, 1));
  ASSERT_EQ(merges.size(), 1U);
  EXPECT_EQ(merges[0].local_momentum, 0.9);
  EXPECT_EQ(merges[0].updates[0].steps, 10U);
}

TEST(ScaffoldJob, GivesItsSitesTheControlVariateOfTheRoundBefore) {
  RunningJob it(with_strategy("scaffold"));
  EXPECT_EQ(all<StartMerge>(deliver_all(it, 1)).at(0).places, 3U);
  const auto effects = it.merged(it.id, 1, blob(101), blob(201));
  const auto offers = sent<msg::TaskOffer>(effects, it.east);
  ASSERT_EQ(offers.size(), 1U);
  EXPECT_EQ(offers[0].order.model, blob(101));
  EXPECT_EQ(offers[0].order.control, blob(201));
  EXPECT_TRUE(std::ranges::any_of(all<GrantGet>(effects), [](const GrantGet& grant) {
    return grant.peer == "site/east" && grant.blob == blob(201);
  }));
  EXPECT_EQ(all<StartMerge>(deliver_all(it, 2)).at(0).server_state, blob(201));
}

TEST(ScaffoldJob, GivesOutNoStateOfOtherStrategies) {
  RunningJob it(with_strategy("fedadam"));
  deliver_all(it, 1);
  const auto offers = sent<msg::TaskOffer>(it.merged(it.id, 1, blob(101), blob(201)), it.east);
  ASSERT_EQ(offers.size(), 1U);
  EXPECT_FALSE(offers[0].order.control);
}

TEST(OwnTensors, HaveNoPlaceInWhatASiteMayPut) {
  auto spec = RunningJob::three_site_spec();
  spec.train.exclude = {"*.bias"};
  RunningJob it(spec);
  const auto grants = all<GrantPut>(it.announce(it.east, it.train("east"), blob(1)));
  ASSERT_EQ(grants.size(), 1U);
  ASSERT_EQ(grants[0].layout->tensors.size(), 1U);
  EXPECT_TRUE(grants[0].layout->tensors[0].name.ends_with(".weight"));
  const auto merge = all<StartMerge>(deliver_all(it, 1)).at(0);
  EXPECT_EQ(merge.layout->tensors.size(), 2U);
  EXPECT_EQ(*merge.update_layout, *grants[0].layout);
}

TEST(StepWeights, RefuseAResultWithoutASingleStep) {
  auto spec = RunningJob::three_site_spec();
  spec.strategy.weights = Weighting::steps;
  RunningJob it(spec);
  EXPECT_EQ(verdict(it, result_with(0, {})), "steps_invalid");
}

TEST(NormMax, GoesWithTheGrantOfAnUpdate) {
  auto spec = RunningJob::three_site_spec();
  spec.strategy.parameters = {{"norm_max", 2.5}};
  RunningJob it(spec);
  const auto grants = all<GrantPut>(it.announce(it.east, it.train("east"), blob(1)));
  ASSERT_EQ(grants.size(), 1U);
  EXPECT_EQ(grants[0].l2_norm_max, 2.5);
}

JobSpec with_encoding(const std::string& encoding) {
  auto spec = RunningJob::three_site_spec();
  spec.update.encoding = encoding;
  return spec;
}

TEST(Encoding, GoesWithTheGrantOfAnUpdateAndWithItsMerge) {
  RunningJob it(with_encoding("int8"));
  const auto grants = all<GrantPut>(it.announce(it.east, it.train("east"), blob(1)));
  ASSERT_EQ(grants.size(), 1U);
  EXPECT_EQ(grants[0].update.encoding, "int8");
  EXPECT_EQ(all<StartMerge>(deliver_all(it, 1)).at(0).update.encoding, "int8");
}

TEST(Encoding, IsOfUpdatesAndNotOfTheInitialModel) {
  Scenario it;
  it.connect(Role::coordinator, "alice");
  const auto north = it.connect("north");
  auto spec = with_encoding("int8");
  spec.sites = {};
  const auto id = it.submit(spec);
  it.accept(north, id);
  const auto initialize = key(id, 0, TaskKind::initialize, "north");
  const auto grants = all<GrantPut>(it.announce(north, initialize, blob(1)));
  ASSERT_EQ(grants.size(), 1U);
  EXPECT_EQ(grants[0].update, UpdateSpec());
}

TEST(Encoding, BoundsTheBytesOfAResult) {
  auto result = result_with(1, {});
  const auto float32 = RunningJob::three_site_spec().model;
  const auto elements = resolve_model(float32)->layout.elements();
  result.blob_bytes = limits::kTensorHeaderBytesMax + elements * 4;
  RunningJob whole;
  EXPECT_EQ(verdict(whole, result), "");
  RunningJob halved(with_encoding("f16"));
  EXPECT_EQ(verdict(halved, result), "result_too_large");
}

TEST(Encoding, ThatVoidsTheStrategysPromiseIsRefusedAtSubmit) {
  Scenario it;
  const auto alice = it.connect(Role::coordinator, "alice");
  auto spec = with_strategy("median");
  spec.update.encoding = "topk";
  EXPECT_THAT(it.refusal(alice, msg::SubmitJob{spec, {}}).message, HasSubstr("voids what"));
}

TEST(StrategyJob, IsRefusedAtSubmitWhenItsQuorumIsOutsideTheGuarantee) {
  Scenario it;
  const auto alice = it.connect(Role::coordinator, "alice");
  const auto refusal = it.refusal(alice, msg::SubmitJob{with_strategy("krum"), {}});
  EXPECT_EQ(refusal.code, "job_invalid");
  EXPECT_THAT(refusal.message, HasSubstr("krum with byzantine = 1 needs at least 5 updates"));
}

}  // namespace
}  // namespace entente::broker
