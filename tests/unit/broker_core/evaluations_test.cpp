#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "common/domain/measures.h"
#include "tests/unit/broker_core/scenario.h"

namespace entente::broker {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

// Three sites train; north and south have the reference dataset, too.
struct EvaluatedJob : Scenario {
  EvaluatedJob() {
    east = connect("east");
    north = connect("north", with_reference());
    south = connect("south", with_reference());
    auto spec = small_spec(3);
    spec.sites.min = 3;
    spec.evaluate = EvaluateSpec{"reference", 2};
    id = submit(spec);
    for (const auto site : {east, north, south}) {
      accept(site, id);
    }
    deliver(east, key(id, 0, TaskKind::initialize, "east"), blob(100));
  }
  static SiteAdvert with_reference() {
    auto both = advert();
    both.datasets.push_back(advert("reference").datasets[0]);
    return both;
  }
  Effects run_round(Round round) {
    deliver(east, key(id, round, TaskKind::train, "east"), blob(1));
    deliver(north, key(id, round, TaskKind::train, "north"), blob(2));
    deliver(south, key(id, round, TaskKind::train, "south"), blob(3));
    return merged(id, round, blob(static_cast<std::uint8_t>(100 + round)));
  }
  TaskKey evaluate(Round round, const std::string& site) const {
    return key(id, round, TaskKind::evaluate, site);
  }
  // `right` of `count` examples were right.
  Effects answer(const std::string& site, Round round, double right, std::uint64_t count,
                 bool with_sums = true) {
    TaskResult result{std::nullopt, 0, count, 0, {}};
    const auto n = static_cast<double>(count);
    result.sums = {{"count", {n}}, {"correct", {right}}, {"loss", {1}}, {"loss_weight", {n}}};
    result.metrics = metrics_from(result.sums);
    if (!with_sums) {
      result.sums.clear();
    }
    return hear(site == "north" ? north : south,
                msg::ResultAnnounce{evaluate(round, site), result});
  }
  Effects fail(SessionId session, const TaskKey& task) {
    return hear(session, msg::TaskFailed{task, {{"broken", "no", "", {}}, false}});
  }
  RoundRow round(Round number) const { return *store.round(id, number); }
  std::string last_evaluation() const {
    std::string text;
    for (const auto& event : store.events(id)) {
      text = event.kind == JobEventKind::evaluated && event.site.empty() ? event.text : text;
    }
    return text;
  }
  SessionId east = 0;
  SessionId north = 0;
  SessionId south = 0;
  JobId id;
};

bool offers_evaluation(const Effects& effects, SessionId session) {
  const auto offers = sent<msg::TaskOffer>(effects, session);
  return std::any_of(offers.begin(), offers.end(), [](const msg::TaskOffer& offer) {
    return offer.order.key.kind == TaskKind::evaluate;
  });
}

TEST(Evaluation, IsMadeEveryNthAndTheLastRoundWhereverTheDatasetIs) {
  EvaluatedJob it;
  auto effects = it.run_round(1);
  EXPECT_FALSE(offers_evaluation(effects, it.north));
  effects = it.run_round(2);
  EXPECT_TRUE(offers_evaluation(effects, it.north));
  EXPECT_TRUE(offers_evaluation(effects, it.south));
  EXPECT_FALSE(offers_evaluation(effects, it.east)) << "it has no such dataset";
  EXPECT_TRUE(offers_evaluation(it.run_round(3), it.north)) << "no round waits for an evaluation";
}

TEST(Evaluation, CountsTheExamplesOfAllSitesTogether) {
  EvaluatedJob it;
  it.run_round(1);
  it.run_round(2);
  it.answer("north", 2, 90, 100);
  EXPECT_THAT(it.round(2).evaluate_metrics, IsEmpty()) << "south has not answered";
  it.answer("south", 2, 5, 50);
  const auto round = it.round(2);
  EXPECT_EQ(round.evaluate_metrics.at("accuracy"), 95.0 / 150);
  EXPECT_EQ(round.evaluated_at, 2U);
  EXPECT_EQ(round.evaluation_examples, 150U);
  EXPECT_EQ(it.store.part(it.id, SiteId::literal("south"))->evaluate_metrics.at("accuracy"), 0.1);
  EXPECT_EQ(it.last_evaluation(),
            "round 2 evaluated at 2 sites on 150 examples together: north and south");
}

TEST(Evaluation, IsAMeanWeightedByExamplesWhereASiteKnowsMetricsOnlyAndSaysSo) {
  EvaluatedJob it;
  it.run_round(1);
  it.run_round(2);
  it.answer("north", 2, 90, 100);
  it.answer("south", 2, 5, 50, /*with_sums=*/false);
  EXPECT_DOUBLE_EQ(it.round(2).evaluate_metrics.at("accuracy"), (0.9 * 100 + 0.1 * 50) / 150);
  EXPECT_THAT(it.last_evaluation(),
              HasSubstr("means weighted by examples, since south sends no sums that add up"));
}

TEST(Evaluation, RefusesSumsThatAreNotOverTheClaimedExamples) {
  EvaluatedJob it;
  it.run_round(1);
  it.run_round(2);
  TaskResult result{std::nullopt, 0, 100, 0, {{"accuracy", 1}}, {{"count", {1e6}}}};
  const auto effects = it.hear(it.north, msg::ResultAnnounce{it.evaluate(2, "north"), result});
  EXPECT_EQ(sent<msg::ResultVerdict>(effects, it.north).at(0).refusal->code, "sums_invalid");
}

TEST(Evaluation, SurvivesTheEndOfTheBrokerBetweenTwoAnswers) {
  EvaluatedJob it;
  it.run_round(1);
  it.run_round(2);
  it.answer("north", 2, 90, 100);
  it.restart();
  it.connect("north", EvaluatedJob::with_reference());
  it.south = it.connect("south", EvaluatedJob::with_reference());
  it.answer("south", 2, 5, 50);
  EXPECT_EQ(it.round(2).evaluate_metrics.at("accuracy"), 95.0 / 150);
  EXPECT_THAT(it.store.task(it.evaluate(2, "north"))->result.sums, IsEmpty())
      << "they are forgotten once they are counted";
}

TEST(Evaluation, ClosesWithoutThoseThatFailOrStallAndNeverFailsTheJob) {
  EvaluatedJob it;
  it.run_round(1);
  it.run_round(2);
  it.run_round(3);
  it.fail(it.north, it.evaluate(2, "north"));
  it.answer("south", 2, 5, 50);
  EXPECT_EQ(it.round(2).evaluated_at, 1U);
  EXPECT_THAT(it.last_evaluation(), HasSubstr("not counted  north: no"));
  it.answer("south", 3, 6, 50);
  EXPECT_EQ(it.state(it.id), JobState::running) << "north evaluates round 3";
  it.wait(small_spec().stall_window);
  EXPECT_EQ(it.state(it.id), JobState::completed);
  EXPECT_EQ(it.round(3).evaluate_metrics.at("accuracy"), 6.0 / 50);
}

TEST(Evaluation, WithoutASingleAnswerIsOverAndHasNoMetrics) {
  EvaluatedJob it;
  it.run_round(1);
  it.run_round(2);
  it.fail(it.north, it.evaluate(2, "north"));
  it.fail(it.south, it.evaluate(2, "south"));
  EXPECT_TRUE(it.round(2).evaluated);
  EXPECT_THAT(it.round(2).evaluate_metrics, IsEmpty());
  EXPECT_THAT(it.last_evaluation(), HasSubstr("round 2 is not evaluated"));
  EXPECT_EQ(it.state(it.id), JobState::running);
}

TEST(Evaluation, IsNotOfferedAgainToASiteThatFailedBeforeARestart) {
  EvaluatedJob it;
  it.run_round(1);
  it.run_round(2);
  it.fail(it.north, it.evaluate(2, "north"));
  it.restart();
  it.wait(small_spec().stall_window);  // south, which has it now, stalls too
  EXPECT_EQ(it.store.task(it.evaluate(2, "north"))->state, TaskState::failed);
  EXPECT_EQ(it.store.task(it.evaluate(2, "south"))->state, TaskState::lost);
  EXPECT_FALSE(it.store.task(key(it.id, 2, TaskKind::evaluate, "north", 2)));
}

}  // namespace
}  // namespace entente::broker
