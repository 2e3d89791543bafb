// Jobs that wait for others, and jobs that start from another one's model.
#include "broker/core/following.h"

#include <gmock/gmock.h>

#include "tests/unit/broker_core/scenario.h"

namespace entente::broker {
namespace {

using testing::HasSubstr;

struct Following : Scenario {
  SessionId north = connect("north");
  SessionId alice = connect(Role::coordinator, "alice");

  static JobSpec one_round(std::vector<JobId> after = {}) {
    auto spec = small_spec(1);
    spec.after = std::move(after);
    return spec;
  }
  static JobSpec from(const JobId& other, InitialModel::Which which, Round round = 0) {
    auto spec = small_spec(1);
    spec.init = InitialModel{other, which, round};
    return spec;
  }
  // Runs the job to its end, its models being `first`, `first` + 1 and so on.
  void complete(const JobId& id, std::uint8_t first = 100) {
    accept(north, id);
    if (!store.round(id, 0)->model) {
      deliver(north, key(id, 0, TaskKind::initialize, "north"), blob(first));
    }
    for (Round round = 1; round <= job(id).spec().rounds; ++round) {
      deliver(north, key(id, round, TaskKind::train, "north"), blob(round));
      merged(id, round, blob(static_cast<std::uint8_t>(first + round)));
    }
  }
  // Two rounds, evaluated with these accuracies.
  JobId completed_with(double first, double second) {
    auto spec = small_spec(2);
    spec.evaluate = EvaluateSpec{"scans", 1};
    const auto id = submit(spec);
    complete(id);
    for (const auto& [round, accuracy] : {std::pair(1U, first), std::pair(2U, second)}) {
      TaskResult result{std::nullopt, 0, 100, 0, {{"accuracy", accuracy}}};
      hear(north, msg::ResultAnnounce{key(id, round, TaskKind::evaluate, "north"), result});
    }
    EXPECT_EQ(state(id), JobState::completed);
    return id;
  }
  Explanation explain(const JobId& id) {
    return std::get<Explanation>(answer(alice, msg::ExplainJob{id}));
  }
};

TEST(After, AJobWaitsUntilTheOthersHaveCompleted) {
  Following it;
  const auto first = it.submit(Following::one_round());
  const auto second = it.submit(Following::one_round());
  const auto third = it.submit(Following::one_round({first, second}));
  EXPECT_EQ(it.state(third), JobState::queued);
  EXPECT_EQ(it.explain(third).sentence, "waits until lung-1, lung-2 have completed");
  it.complete(first);
  EXPECT_EQ(it.state(third), JobState::queued);
  EXPECT_EQ(it.job(third).row.reason, "waits until lung-2 has completed");
  it.complete(second);
  EXPECT_EQ(it.state(third), JobState::matching);
}

TEST(After, FailsWithTheReasonOfTheOtherOneDownTheWholeChain) {
  Following it;
  const auto first = it.submit(Following::one_round());
  const auto second = it.submit(Following::one_round({first}));
  const auto third = it.submit(Following::one_round({second}));
  it.ask(it.alice, msg::AbortJob{first, "bad labels"});
  EXPECT_EQ(it.state(second), JobState::failed);
  EXPECT_EQ(it.job(second).row.reason,
            "lung-1, which it was to follow, has been aborted: by coordinator/alice: bad labels");
  EXPECT_EQ(it.state(third), JobState::failed);
  EXPECT_THAT(it.job(third).row.reason, HasSubstr("lung-2, which it was to follow, has failed"));
}

TEST(After, TheClockOfTheDeadlineStartsWhenItMayRunAlsoAcrossARestart) {
  Following it;
  auto spec = Following::one_round();
  spec.deadline = std::chrono::hours(24);
  const auto first = it.submit(spec);
  const auto second = it.submit(Following::one_round({first}));
  it.wait(std::chrono::hours(2));
  it.restart();
  it.wait(std::chrono::hours(2));
  EXPECT_EQ(it.state(second), JobState::queued) << "its deadline is an hour";
  it.north = it.connect("north");
  it.complete(first);
  it.wait(std::chrono::minutes(59));
  EXPECT_NE(it.state(second), JobState::failed);
  it.wait(std::chrono::minutes(2));
  EXPECT_EQ(it.state(second), JobState::failed);
}

TEST(After, NamesJobsThatExistAndThatOneMaySee) {
  Following it;
  const auto first = it.submit(Following::one_round());
  auto refusal =
      it.refusal(it.alice, msg::SubmitJob{Following::one_round({JobId::literal("lung-7")}), {}});
  EXPECT_EQ(refusal.code, "job_unknown");
  EXPECT_THAT(refusal.message, HasSubstr("did you mean \"lung-1\"?"));
  const auto bob = it.connect(Role::coordinator, "bob");
  EXPECT_EQ(it.refusal(bob, msg::SubmitJob{Following::one_round({first}), {}}).code, "job_unknown");
  it.ask(it.alice, msg::AbortJob{first, ""});
  EXPECT_EQ(it.refusal(it.alice, msg::SubmitJob{Following::one_round({first}), {}}).code,
            "job_ended");
}

TEST(After, APausedJobThatFollowedAFailedOneFailsWhenItIsResumed) {
  Following it;
  const auto first = it.submit(Following::one_round());
  const auto second = it.submit(Following::one_round({first}));
  it.ask(it.alice, msg::PauseJob{second, ""});
  it.ask(it.alice, msg::AbortJob{first, ""});
  EXPECT_EQ(it.state(second), JobState::paused);
  it.ask(it.alice, msg::ResumeJob{second});
  EXPECT_EQ(it.state(second), JobState::failed);
}

TEST(After, ADryRunSaysWhatItWouldWaitFor) {
  Following it;
  const auto first = it.submit(Following::one_round());
  const auto reply = it.answer(it.alice, msg::ExplainSpec{Following::one_round({first})});
  EXPECT_EQ(std::get<Explanation>(reply).sentence, "waits until lung-1 has completed");
}

TEST(Init, StartsFromAnotherJobsModelWithoutASiteMakingOne) {
  Following it;
  const auto first = it.submit(Following::one_round());
  it.complete(first);
  const auto second = it.submit(Following::from(first, InitialModel::Which::last));
  EXPECT_EQ(it.store.round(second, 0)->model, blob(101)) << "settled with the submission";
  const auto offers = sent<msg::TaskOffer>(it.accept(it.north, second), it.north);
  ASSERT_EQ(offers.size(), 1U);
  EXPECT_EQ(offers[0].order.key, key(second, 1, TaskKind::train, "north"));
  EXPECT_EQ(offers[0].order.model, blob(101));
}

TEST(Init, TheReceiptOfVersionZeroNamesTheParent) {
  Following it;
  const auto first = it.submit(Following::one_round());
  it.complete(first);
  it.submit(Following::from(first, InitialModel::Which::round, 0));
  const auto& receipt = it.store.models().back();
  EXPECT_EQ(receipt.version, 0U);
  EXPECT_EQ(receipt.origin, "lung-1@0");
  EXPECT_EQ(receipt.parent, blob(100));
  EXPECT_TRUE(it.store.audited("model.publish", "broker"));
}

TEST(Init, TheBestIsTheOneOfTheHighestAccuracy) {
  Following it;
  const auto first = it.completed_with(0.9, 0.8);
  const auto second = it.submit(Following::from(first, InitialModel::Which::best));
  EXPECT_EQ(it.store.round(second, 0)->model, blob(101));
}

TEST(Init, OfAJobItWaitsForIsSettledWhenThatOneHasCompleted) {
  Following it;
  const auto first = it.submit(Following::one_round());
  auto spec = Following::from(first, InitialModel::Which::last);
  spec.after = {first};
  const auto second = it.submit(spec);
  EXPECT_EQ(it.store.round(second, 0), nullptr);
  it.complete(first);
  EXPECT_EQ(it.store.round(second, 0)->model, blob(101));
  EXPECT_EQ(it.store.models().back().origin, "lung-1@1");
}

TEST(Init, OfAJobItWaitsForFailsWhenThereIsNoSuchVersionInTheEnd) {
  Following it;
  const auto first = it.submit(Following::one_round());
  auto spec = Following::from(first, InitialModel::Which::best);
  spec.after = {first};
  const auto second = it.submit(spec);
  it.complete(first);
  EXPECT_EQ(it.state(second), JobState::failed);
  EXPECT_EQ(it.job(second).row.reason,
            "init names the best model of lung-1, and none was evaluated");
}

TEST(Init, AModelOfAnotherLayoutIsRefusedWithTheTensor) {
  Following it;
  const auto first = it.submit(Following::one_round());
  it.complete(first);
  auto spec = Following::from(first, InitialModel::Which::last);
  spec.model.layers = {LayerSpec{"linear", "fc1", {{"out_features", std::int64_t{3}}}}};
  const auto refusal = it.refusal(it.alice, msg::SubmitJob{spec, {}});
  EXPECT_EQ(refusal.code, "model_mismatch");
  EXPECT_EQ(refusal.message,
            "init cannot start from lung-1: fc1.weight [2, 4] there, fc1.weight [3, 4] here");
}

TEST(Init, AVersionThatThereIsNotIsRefusedAtOnce) {
  Following it;
  const auto first = it.submit(Following::one_round());
  const auto submit = [&](InitialModel::Which which, Round round = 0) {
    return it.refusal(it.alice, msg::SubmitJob{Following::from(first, which, round), {}});
  };
  EXPECT_THAT(submit(InitialModel::Which::last).hint, HasSubstr("after = [\"lung-1\"]"));
  it.complete(first);
  EXPECT_EQ(submit(InitialModel::Which::best).code, "model_unknown");
  EXPECT_EQ(submit(InitialModel::Which::round, 9).message,
            "init names lung-1@9, which there is not");
}

TEST(Init, OutlivesARestart) {
  Following it;
  const auto first = it.submit(Following::one_round());
  it.complete(first);
  const auto second = it.submit(Following::from(first, InitialModel::Which::last));
  it.restart();
  it.north = it.connect("north");
  const auto offers = sent<msg::TaskOffer>(it.accept(it.north, second), it.north);
  ASSERT_FALSE(offers.empty());
  EXPECT_EQ(offers[0].order.model, blob(101));
}

}  // namespace
}  // namespace entente::broker
