// Jobs that predict: one round, whose outputs are merged by weight over zeros.
#include <gmock/gmock.h>

#include "tests/unit/broker_core/scenario.h"

namespace entente::broker {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

struct Predicting : Scenario {
  SessionId alice = connect(Role::coordinator, "alice");
  SessionId east = connect("east");
  SessionId north = connect("north");

  static JobSpec predict_spec(std::uint64_t rows = 3) {
    auto spec = small_spec(1);
    spec.name = "ask";
    spec.kind = JobKind::predict;
    InitialModel init;
    init.which = InitialModel::Which::file;
    init.file = blob(7);
    init.bytes = 200;
    spec.init = init;
    spec.predict = PredictSpec{blob(8), rows * 16 + 100, rows, std::nullopt};
    spec.sites.min = 2;
    return spec;
  }
  JobId start(const JobSpec& spec) {
    const auto id = submit(spec);
    for (const std::uint8_t file : {7, 8}) {
      on(UpdateArrived{"coordinator/alice", blob(file), 1.0});
    }
    accept(east, id);
    last = accept(north, id);
    return id;
  }
  TaskKey task(const JobId& id, const std::string& site) const {
    return key(id, 1, TaskKind::predict, site);
  }

  Effects last;
};

TEST(Predict, WaitsForModelAndInputsAndThenAsksEverySite) {
  Predicting it;
  const auto waiting = it.submit(Predicting::predict_spec());
  EXPECT_EQ(it.job(waiting).row.reason, "waits for 2 files of its coordinator's, 348 B");
  it.ask(it.alice, msg::AbortJob{waiting, ""});
  const auto id = it.start(Predicting::predict_spec());
  const auto offers = sent<msg::TaskOffer>(it.last, it.north);
  ASSERT_EQ(offers.size(), 1U);
  const auto& order = offers[0].order;
  EXPECT_EQ(order.key, it.task(id, "north"));
  EXPECT_EQ(order.model, blob(7));
  EXPECT_EQ(order.inputs, blob(8));
  std::vector<BlobId> granted;
  for (const auto& grant : all<GrantGet>(it.last)) {
    if (grant.peer == "site/north") {
      granted.push_back(grant.blob);
    }
  }
  EXPECT_THAT(granted, ElementsAre(blob(7), blob(8)));
}

TEST(Predict, OutputsHaveARowForEachRowOfInputs) {
  Predicting it;
  const auto id = it.start(Predicting::predict_spec());
  const auto effects = it.announce(it.north, it.task(id, "north"), blob(20));
  const auto grants = all<GrantPut>(effects);
  ASSERT_EQ(grants.size(), 1U);
  ASSERT_EQ(grants[0].layout->tensors.size(), 1U);
  EXPECT_EQ(grants[0].layout->tensors[0].name, "outputs");
  EXPECT_EQ(grants[0].layout->tensors[0].shape, (Shape{3, 2}));
}

TEST(Predict, MergesOverZerosWithTheWeightsAndCompletes) {
  Predicting it;
  const auto id = it.start(Predicting::predict_spec());
  it.deliver(it.east, it.task(id, "east"), blob(20), 300);
  const auto effects = it.deliver(it.north, it.task(id, "north"), blob(21), 100);
  const auto merges = all<StartMerge>(effects);
  ASSERT_EQ(merges.size(), 1U);
  EXPECT_TRUE(merges[0].from_zeros);
  EXPECT_EQ(merges[0].layout->tensors[0].name, "outputs");
  EXPECT_EQ(merges[0].updates[0].weight, 300);
  const auto ended = it.merged(id, 1, blob(30));
  EXPECT_EQ(it.state(id), JobState::completed);
  const auto& receipt = it.store.models().back();
  EXPECT_EQ(receipt.version, 1U);
  EXPECT_EQ(receipt.contributions.size(), 2U);
  EXPECT_DOUBLE_EQ(receipt.contributions[0].weight, 0.75);
  std::vector<BlobId> dropped;
  for (const auto& drop : all<DropBlob>(ended)) {
    dropped.push_back(drop.blob);
  }
  EXPECT_THAT(dropped, testing::UnorderedElementsAre(blob(20), blob(21), blob(8)))
      << "each site's own outputs, and the inputs";
}

TEST(Predict, RefusesOneFileAsModelAndAsInputs) {
  Predicting it;
  auto spec = Predicting::predict_spec();
  spec.init->file = spec.predict->inputs;
  EXPECT_THAT(std::get<Refusal>(it.answer(it.alice, msg::SubmitJob{spec, {}})).message,
              HasSubstr("name the same file"));
}

TEST(Predict, AnswerThatIsDamagedOnTheBrokersDiskIsAskedForAgain) {
  Predicting it;
  const auto id = it.start(Predicting::predict_spec());
  it.deliver(it.east, it.task(id, "east"), blob(20));
  it.deliver(it.north, it.task(id, "north"), blob(21));
  const auto effects =
      it.on(MergeFinished{id, 1, refuse("blob_damaged", "its digest is another"), {blob(20)}});
  const auto offers = sent<msg::TaskOffer>(effects, it.east);
  ASSERT_EQ(offers.size(), 1U);
  EXPECT_EQ(offers[0].order.key, key(id, 1, TaskKind::predict, "east", 2));
  EXPECT_EQ(offers[0].order.inputs, blob(8));
  const auto merges = all<StartMerge>(it.deliver(it.east, offers[0].order.key, blob(20)));
  ASSERT_EQ(merges.size(), 1U);
  EXPECT_EQ(merges[0].updates.size(), 2U);
}

TEST(Predict, ClosesAtItsQuorumWhenTheRestStall) {
  Predicting it;
  auto spec = Predicting::predict_spec();
  spec.sites.quorum = 1;
  spec.stall_window = std::chrono::minutes(1);
  const auto id = it.start(spec);
  it.deliver(it.east, it.task(id, "east"), blob(20));
  const auto merges = all<StartMerge>(it.wait(std::chrono::minutes(2)));
  ASSERT_EQ(merges.size(), 1U);
  EXPECT_EQ(merges[0].updates.size(), 1U);
}

TEST(Predict, AnOpenRoundOutlivesARestartWithTheAnswersThatItHas) {
  Predicting it;
  const auto id = it.start(Predicting::predict_spec());
  it.deliver(it.east, it.task(id, "east"), blob(20));
  it.restart();
  it.north = it.connect("north");
  const auto merges = all<StartMerge>(it.deliver(it.north, it.task(id, "north"), blob(21)));
  ASSERT_EQ(merges.size(), 1U);
  EXPECT_EQ(merges[0].updates.size(), 2U);
}

TEST(Predict, WithWhatAJobHasLeftThatJobMustHaveLeftSomething) {
  Predicting it;
  const auto plain = it.submit(small_spec(1));
  auto spec = Predicting::predict_spec();
  spec.predict->own = plain;
  EXPECT_EQ(it.refusal(it.alice, msg::SubmitJob{spec, {}}).code, "own_missing");
  auto personal = small_spec(1);
  personal.train.private_tensors = {"fc1.bias"};
  spec.predict->own = it.submit(personal);
  EXPECT_TRUE(std::holds_alternative<JobSummary>(it.answer(it.alice, msg::SubmitJob{spec, {}})));
  spec.predict->own = JobId::literal("lung-9");
  EXPECT_THAT(it.refusal(it.alice, msg::SubmitJob{spec, {}}).message,
              HasSubstr("predict.own names \"lung-9\""));
}

TEST(Predict, ItsPredictionsAreNoModelToStartFrom) {
  Predicting it;
  const auto id = it.start(Predicting::predict_spec());
  it.deliver(it.east, it.task(id, "east"), blob(20));
  it.deliver(it.north, it.task(id, "north"), blob(21));
  it.merged(id, 1, blob(30));
  auto spec = small_spec(1);
  spec.init = InitialModel{id, InitialModel::Which::last, 0};
  EXPECT_THAT(it.refusal(it.alice, msg::SubmitJob{spec, {}}).message,
              HasSubstr("which are predictions and no model"));
  spec.init = InitialModel{id, InitialModel::Which::round, 0};
  EXPECT_TRUE(std::holds_alternative<JobSummary>(it.answer(it.alice, msg::SubmitJob{spec, {}})));
}

TEST(Predict, OnlyAWeightedMeanPutsOutputsTogether) {
  Predicting it;
  auto spec = Predicting::predict_spec();
  spec.strategy.kind = "fedadam";
  EXPECT_THAT(it.refusal(it.alice, msg::SubmitJob{spec, {}}).message, HasSubstr("weighted mean"));
  spec.strategy.kind = "fedavg";
  spec.strategy.weights = Weighting::steps;
  EXPECT_THAT(it.refusal(it.alice, msg::SubmitJob{spec, {}}).message, HasSubstr("steps"));
}

TEST(Predict, MoreRowsThanTheLimitAreRefused) {
  Predicting it;
  EXPECT_THAT(it.refusal(it.alice, msg::SubmitJob{Predicting::predict_spec(1'000'001), {}}).message,
              HasSubstr("predict.inputs has 1,000,001 rows, may have 1 to 1,000,000"));
}

}  // namespace
}  // namespace entente::broker
