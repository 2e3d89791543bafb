#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/domain/measures.h"
#include "tests/unit/broker_core/scenario.h"

namespace entente::broker {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

// A job of one site has left a model, lung-1@last; three sites are there.
struct WithModel : Scenario {
  WithModel() {
    auto spec = small_spec(1);
    spec.sites.exclude = {SiteId::literal("north"), SiteId::literal("south")};
    first = submit(spec);
    accept(east, first);
    deliver(east, key(first, 0, TaskKind::initialize, "east"), blob(100));
    deliver(east, key(first, 1, TaskKind::train, "east"), blob(1));
    merged(first, 1, blob(101));
    EXPECT_EQ(state(first), JobState::completed);
  }
  SessionId session(const std::string& site) const {
    return site == "east" ? east : site == "north" ? north : south;
  }
  SessionId alice = connect(Role::coordinator, "alice");
  SessionId east = connect("east");
  SessionId north = connect("north");
  SessionId south = connect("south");
  JobId first;
};

struct EvaluateJob : WithModel {
  explicit EvaluateJob(std::uint32_t quorum = 0) {
    JobSpec spec = small_spec(1);
    spec.name = "judge";
    spec.kind = JobKind::evaluate;
    spec.train = TrainSpec{};
    spec.train.dataset = "scans";
    spec.strategy = StrategySpec{};
    spec.evaluate = EvaluateSpec{"scans", 1};
    spec.init = InitialModel{first, InitialModel::Which::last, 0};
    spec.sites.min = 3;
    spec.sites.quorum = quorum;
    id = submit(spec);
    for (const auto site : {east, north, south}) {
      last = accept(site, id);
    }
  }
  TaskKey evaluate(const std::string& site) const { return key(id, 1, TaskKind::evaluate, site); }
  Effects answer(const std::string& site, double right, std::uint64_t count) {
    TaskResult result{std::nullopt, 0, count, 0, {}};
    const auto n = static_cast<double>(count);
    result.sums = {{"count", {n}}, {"correct", {right}}, {"loss", {1}}, {"loss_weight", {n}}};
    result.metrics = metrics_from(result.sums);
    return hear(session(site), msg::ResultAnnounce{evaluate(site), result});
  }
  JobId id;
  Effects last;
};

TEST(EvaluateJob, AsksEverySiteForOneRoundAndMakesNoModel) {
  EvaluateJob it;
  const auto offers = sent<msg::TaskOffer>(it.last, it.north);
  ASSERT_EQ(offers.size(), 1U);
  EXPECT_EQ(offers[0].order.key, it.evaluate("north"));
  EXPECT_EQ(offers[0].order.model, blob(101)) << "the model that the other job has left";
  it.answer("east", 80, 100);
  it.answer("north", 10, 100);
  EXPECT_EQ(it.state(it.id), JobState::running);
  it.answer("south", 30, 40);
  EXPECT_EQ(it.state(it.id), JobState::completed);
  const auto round = *it.store.round(it.id, 1);
  EXPECT_EQ(round.evaluate_metrics.at("accuracy"), 0.5);
  EXPECT_EQ(round.evaluated_at, 3U);
  EXPECT_FALSE(round.model);
  EXPECT_EQ(it.store.models().back().origin, "lung-1@1") << "its version 0, and no other";
}

TEST(EvaluateJob, ClosesAtItsQuorumWhenTheOthersStall) {
  EvaluateJob it(2);
  it.answer("east", 80, 100);
  it.wait(small_spec().stall_window);
  EXPECT_EQ(it.state(it.id), JobState::running) << "1 of 2";
  it.answer("north", 10, 100);
  it.wait(small_spec().stall_window);
  EXPECT_EQ(it.state(it.id), JobState::completed);
  EXPECT_EQ(it.store.round(it.id, 1)->evaluate_metrics.at("accuracy"), 90.0 / 200);
}

TEST(EvaluateJob, FailsBelowItsQuorumAndSaysWhatTheSitesSaid) {
  EvaluateJob it;
  it.answer("east", 80, 100);
  it.hear(it.north,
          msg::TaskFailed{it.evaluate("north"), {{"policy_declined", "too few", "", {}}}});
  EXPECT_EQ(it.state(it.id), JobState::failed);
  EXPECT_THAT(it.job(it.id).row.reason, HasSubstr("north: too few"));
}

TEST(EvaluateJob, KeepsItsAnswersWhenTheBrokerEnds) {
  EvaluateJob it;
  it.answer("east", 80, 100);
  it.answer("north", 10, 100);
  it.restart();
  it.connect("east");
  it.connect("north");
  it.south = it.connect("south");
  it.answer("south", 30, 40);
  EXPECT_EQ(it.state(it.id), JobState::completed);
  EXPECT_EQ(it.store.round(it.id, 1)->evaluate_metrics.at("accuracy"), 0.5);
}

// It has judged a model, and has made none: version 0 is its only one.
TEST(EvaluateJob, HasNoBestModelOfItsOwn) {
  EvaluateJob it;
  it.answer("east", 80, 100);
  it.answer("north", 10, 100);
  it.answer("south", 30, 40);
  auto spec = small_spec(1);
  spec.name = "tuned";
  spec.init = InitialModel{it.id, InitialModel::Which::best, 0};
  EXPECT_EQ(it.refusal(it.alice, msg::SubmitJob{spec, {}}).code, "model_unknown");
  spec.init->which = InitialModel::Which::last;
  EXPECT_EQ(it.state(it.submit(spec)), JobState::matching);
}

struct CyclicJob : Scenario {
  explicit CyclicJob(std::uint32_t rounds = 4) {
    JobSpec spec = small_spec(rounds);
    spec.kind = JobKind::cyclic;
    spec.strategy = StrategySpec{};
    spec.sites.min = 3;
    id = submit(spec);
    for (const auto site : {east, north, south}) {
      accept(site, id);
    }
    last = deliver(east, key(id, 0, TaskKind::initialize, "east"), blob(100));
  }
  TaskKey train(Round round, const std::string& site) const {
    return key(id, round, TaskKind::train, site);
  }
  // Who is asked to train by these effects.
  std::vector<std::string> asked(const Effects& effects) const {
    std::vector<std::string> names;
    for (const auto session : {east, north, south}) {
      for (const auto& offer : sent<msg::TaskOffer>(effects, session)) {
        names.push_back(offer.order.key.site.str());
      }
    }
    return names;
  }
  Effects hop(Round round, const std::string& site) {
    const auto session = site == "east" ? east : site == "north" ? north : south;
    const auto merges = all<StartMerge>(
        deliver(session, train(round, site), blob(static_cast<std::uint8_t>(round))));
    EXPECT_EQ(merges.size(), 1U) << "one update closes a round";
    return merged(id, round, blob(static_cast<std::uint8_t>(100 + round)));
  }
  SessionId east = connect("east");
  SessionId north = connect("north");
  SessionId south = connect("south");
  JobId id;
  Effects last;
};

TEST(CyclicJob, GoesFromSiteToSiteByNameAndAroundAgain) {
  CyclicJob it;
  EXPECT_THAT(it.asked(it.last), testing::ElementsAre("east"));
  EXPECT_THAT(it.asked(it.hop(1, "east")), testing::ElementsAre("north"));
  EXPECT_THAT(it.asked(it.hop(2, "north")), testing::ElementsAre("south"));
  EXPECT_THAT(it.asked(it.hop(3, "south")), testing::ElementsAre("east"));
  it.hop(4, "east");
  EXPECT_EQ(it.state(it.id), JobState::completed);
}

TEST(CyclicJob, PassesASiteOverThatFailsAndAsksItAgainInTheNextLap) {
  CyclicJob it(5);
  it.hop(1, "east");
  const auto effects =
      it.hear(it.north,
              msg::TaskFailed{it.train(2, "north"), {{"labels_invalid", "label 7 of 2", "", {}}}});
  EXPECT_THAT(it.asked(effects), testing::ElementsAre("south"));
  EXPECT_THAT(it.asked(it.hop(2, "south")), testing::ElementsAre("east"));
  EXPECT_THAT(it.asked(it.hop(3, "east")), testing::ElementsAre("north"));
}

TEST(CyclicJob, PassesASiteOverThatStalls) {
  CyclicJob it;
  it.hop(1, "east");
  EXPECT_THAT(it.asked(it.wait(small_spec().stall_window)), testing::ElementsAre("south"));
  it.hop(2, "south");
  EXPECT_EQ(it.store.task(it.train(2, "north"))->state, TaskState::lost);
}

TEST(CyclicJob, KeepsItsOrderWhenTheBrokerEnds) {
  CyclicJob it;
  it.hop(1, "east");
  it.hop(2, "north");
  it.restart();
  it.connect("east");
  it.connect("north");
  it.south = it.connect("south");
  it.hop(3, "south");
  EXPECT_EQ(it.store.task(it.train(4, "east"))->state, TaskState::pending);
}

TEST(CyclicJob, FailsWhenNobodyIsLeftToTrain) {
  CyclicJob it;
  for (const auto& [session, site] :
       {std::pair(it.east, "east"), std::pair(it.north, "north"), std::pair(it.south, "south")}) {
    it.hear(session, msg::TaskFailed{it.train(1, site), {{"broken", "no", "", {}}}});
  }
  EXPECT_EQ(it.state(it.id), JobState::failed);
}

}  // namespace
}  // namespace entente::broker
