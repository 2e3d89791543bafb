// [stop] and keep: when a job ends before its last round, and which of its models stay.
#include <fmt/format.h>
#include <gmock/gmock.h>

#include "tests/unit/broker_core/scenario.h"

namespace entente::broker {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

// One site trains and evaluates; what it reports as accuracy is what a test says.
struct Evaluated : Scenario {
  Evaluated() : Evaluated(spec_of(StopSpec{"accuracy", 2, 0.01}, Keep::all)) {}
  explicit Evaluated(const JobSpec& spec) : id(submit(spec)) {
    accept(east, id);
    deliver(east, key(id, 0, TaskKind::initialize, "east"), blob(100));
  }
  static JobSpec spec_of(std::optional<StopSpec> stop, Keep keep = Keep::all) {
    auto spec = small_spec(10);
    spec.evaluate = EvaluateSpec{"scans", 1};
    spec.stop = std::move(stop);
    spec.keep = keep;
    return spec;
  }
  Effects merge(Round round) {
    deliver(east, key(id, round, TaskKind::train, "east"), blob(static_cast<std::uint8_t>(round)));
    return merged(id, round, model(round));
  }
  Effects evaluate(Round round, Metrics metrics) {
    return hear(east, msg::ResultAnnounce{key(id, round, TaskKind::evaluate, "east"),
                                          {std::nullopt, 0, 100, 0, std::move(metrics)}});
  }
  // A round, and its evaluation beside the next one.
  Effects pass(Round round, double accuracy) {
    merge(round);
    return evaluate(round, {{"accuracy", accuracy}, {"loss", 1 - accuracy}});
  }
  static BlobId model(Round round) { return blob(static_cast<std::uint8_t>(100 + round)); }
  std::vector<Round> kept() const {
    std::vector<Round> rounds;
    for (const auto& [number, round] : job(id).rounds) {
      if (round.model && !store.round(id, number)->model_removed) {
        rounds.push_back(number);
      }
    }
    return rounds;
  }

  SessionId east = connect("east");
  JobId id;
};

TEST(EarlyStop, EndsAJobThatHasNotImprovedForItsPatience) {
  Evaluated it;
  it.pass(1, 0.5);
  it.pass(2, 0.505);
  EXPECT_EQ(it.state(it.id), JobState::running);
  const auto effects = it.pass(3, 0.51);
  EXPECT_EQ(it.state(it.id), JobState::completed);
  EXPECT_EQ(it.job(it.id).row.reason,
            "stopped early: in 2 evaluations accuracy has not risen above (by more than 0.01) the "
            "0.5 of round 1");
  EXPECT_EQ(sent<msg::JobClosed>(effects, it.east).size(), 1U);
  EXPECT_EQ(it.store.task(key(it.id, 4, TaskKind::train, "east"))->state, TaskState::lost)
      << "the round that had begun is given up";
  EXPECT_EQ(it.store.events(it.id).back().text,
            fmt::format("job lung-1 completed: {}", it.job(it.id).row.reason));
}

TEST(EarlyStop, AnImprovementGivesAllOfThePatienceAgain) {
  Evaluated it;
  it.pass(1, 0.5);
  it.pass(2, 0.4);
  it.pass(3, 0.6);
  it.pass(4, 0.6);
  EXPECT_EQ(it.state(it.id), JobState::running);
  it.pass(5, 0.3);
  EXPECT_EQ(it.state(it.id), JobState::completed);
}

TEST(EarlyStop, OfALossLessIsBetter) {
  Evaluated it(Evaluated::spec_of(StopSpec{"loss", 1, 0}));
  it.pass(1, 0.5);
  it.pass(2, 0.6);
  EXPECT_EQ(it.state(it.id), JobState::running);
  it.pass(3, 0.6);
  EXPECT_EQ(it.job(it.id).row.reason,
            "stopped early: in 1 evaluation loss has not fallen below the 0.4 of round 2");
}

TEST(EarlyStop, CountsEvaluationsInTheOrderOfTheirRounds) {
  Evaluated it(Evaluated::spec_of(StopSpec{"accuracy", 1, 0}));
  it.merge(1);
  it.merge(2);
  it.merge(3);
  it.evaluate(2, {{"accuracy", 0.7}});
  it.evaluate(1, {{"accuracy", 0.6}});
  EXPECT_EQ(it.state(it.id), JobState::running) << "round 1 came late and was no step back";
  it.evaluate(3, {{"accuracy", 0.7}});
  EXPECT_EQ(it.state(it.id), JobState::completed);
}

TEST(EarlyStop, AnEvaluationWithoutTheMetricCountsForNothing) {
  Evaluated it(Evaluated::spec_of(StopSpec{"f1", 1, 0}));
  it.pass(1, 0.5);
  it.pass(2, 0.4);
  it.pass(3, 0.3);
  EXPECT_EQ(it.state(it.id), JobState::running);
}

TEST(EarlyStop, TheCountGoesOnAfterARestart) {
  Evaluated it;
  it.pass(1, 0.5);
  it.pass(2, 0.5);
  it.restart();
  it.east = it.connect("east");
  it.pass(3, 0.5);
  EXPECT_EQ(it.state(it.id), JobState::completed);
}

TEST(EarlyStop, TheLastRoundEndsAJobWithoutAReason) {
  auto spec = Evaluated::spec_of(StopSpec{"accuracy", 1, 0});
  spec.rounds = 2;
  Evaluated it(spec);
  it.pass(1, 0.5);
  it.pass(2, 0.5);
  EXPECT_EQ(it.state(it.id), JobState::completed);
  EXPECT_EQ(it.job(it.id).row.reason, "");
}

TEST(Keep, OnlyTheBestAndTheNewestModelStay) {
  Evaluated it(Evaluated::spec_of(std::nullopt, Keep::best_and_last));
  it.pass(1, 0.5);
  EXPECT_THAT(it.kept(), ElementsAre(1));
  it.pass(2, 0.9);
  it.pass(3, 0.7);
  EXPECT_THAT(it.kept(), ElementsAre(2, 3));
  it.pass(4, 0.8);
  EXPECT_THAT(it.kept(), ElementsAre(2, 4));
  EXPECT_EQ(it.store.models().size(), 5U) << "receipts stay";
}

TEST(Keep, AModelIsDroppedOnceAndAfterItsRowSaysSo) {
  Evaluated it(Evaluated::spec_of(std::nullopt, Keep::best_and_last));
  it.pass(1, 0.5);
  it.merge(2);
  const auto drops = all<DropBlob>(it.evaluate(2, {{"accuracy", 0.9}}));
  ASSERT_EQ(drops.size(), 1U);
  EXPECT_EQ(drops[0].blob, Evaluated::model(1));
  EXPECT_TRUE(it.store.round(it.id, 1)->model_removed);
}

TEST(Keep, AModelWhoseEvaluationIsOpenStays) {
  Evaluated it(Evaluated::spec_of(std::nullopt, Keep::best_and_last));
  it.merge(1);
  it.merge(2);
  it.merge(3);
  EXPECT_THAT(it.kept(), ElementsAre(1, 2, 3));
  it.evaluate(2, {{"accuracy", 0.9}});
  it.evaluate(1, {{"accuracy", 0.5}});
  EXPECT_THAT(it.kept(), ElementsAre(2, 3));
}

TEST(Keep, TheBestIsByTheMetricOfTheJob) {
  Evaluated it(Evaluated::spec_of(StopSpec{"loss", 9, 0}, Keep::best_and_last));
  it.merge(1);
  it.evaluate(1, {{"accuracy", 0.5}, {"loss", 0.1}});
  it.merge(2);
  it.evaluate(2, {{"accuracy", 0.9}, {"loss", 0.2}});
  it.merge(3);
  it.evaluate(3, {{"accuracy", 0.9}, {"loss", 0.3}});
  EXPECT_THAT(it.kept(), ElementsAre(1, 3));
}

TEST(Keep, AJobThatEndsKeepsBestAndLastAlthoughSomeWereNeverEvaluated) {
  Evaluated it(Evaluated::spec_of(std::nullopt, Keep::best_and_last));
  it.pass(1, 0.9);
  it.merge(2);
  it.merge(3);
  it.ask(it.connect(Role::coordinator, "alice"), msg::AbortJob{it.id, ""});
  EXPECT_THAT(it.kept(), ElementsAre(1, 3));
}

TEST(Keep, AModelThatAnotherJobKeepsIsNotDropped) {
  Evaluated it(Evaluated::spec_of(std::nullopt, Keep::best_and_last));
  const auto twin = it.submit(Evaluated::spec_of(std::nullopt));
  it.accept(it.east, twin);
  it.deliver(it.east, key(twin, 0, TaskKind::initialize, "east"), blob(100));
  EXPECT_THAT(
      all<DropBlob>(it.merge(1)),
      testing::Not(testing::Contains(testing::Field(&DropBlob::blob, Evaluated::model(0)))));
  EXPECT_TRUE(it.store.round(it.id, 0)->model_removed);
}

TEST(Keep, AllStaysUnlessAskedOtherwise) {
  Evaluated it(Evaluated::spec_of(std::nullopt));
  it.pass(1, 0.5);
  it.pass(2, 0.4);
  EXPECT_THAT(it.kept(), ElementsAre(0, 1, 2));
}

}  // namespace
}  // namespace entente::broker
