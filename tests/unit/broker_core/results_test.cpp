// Tasks and their results: announced, uploaded, accepted once.
#include <gmock/gmock.h>

#include <algorithm>

#include "common/base/limits.h"
#include "tests/unit/broker_core/scenario.h"

namespace entente::broker {
namespace {

using testing::HasSubstr;

msg::ResultVerdict verdict(const Effects& effects, SessionId session) {
  const auto verdicts = sent<msg::ResultVerdict>(effects, session);
  EXPECT_EQ(verdicts.size(), 1U);
  return verdicts.empty() ? msg::ResultVerdict{} : verdicts[0];
}

std::string refusal_code(const Effects& effects, SessionId session) {
  const auto refusal = verdict(effects, session).refusal;
  return refusal ? refusal->code : "accepted";
}

// Nothing comes of the arrival, and its bytes go.
bool is_dropped(const Effects& effects, const BlobId& blob) {
  const auto drops = all<DropBlob>(effects);
  return effects.rows.empty() && effects.actions.size() == 1 && drops.size() == 1 &&
         drops[0].blob == blob;
}

TEST(Results, AreGrantedThenAcceptedOnceTheyAreStored) {
  RunningJob it;
  auto effects = it.announce(it.north, it.train("north"), blob(2));
  const auto grants = all<GrantPut>(effects);
  ASSERT_EQ(grants.size(), 1U);
  EXPECT_EQ(grants[0].peer, "site/north");
  EXPECT_EQ(grants[0].blob, blob(2));
  EXPECT_EQ(grants[0].bytes, 200U);
  EXPECT_EQ(grants[0].layout->elements(), 10U);
  EXPECT_EQ(sent<msg::ResultGrant>(effects, it.north).at(0).blob, blob(2));
  EXPECT_TRUE(sent<msg::ResultVerdict>(effects, it.north).empty()) << "not stored yet";

  effects = it.arrive(it.train("north"), blob(2));
  EXPECT_FALSE(verdict(effects, it.north).refusal);
  EXPECT_EQ(all<Revoke>(effects).size(), 1U);
  const auto* part = it.store.part(it.id, SiteId::literal("north"));
  EXPECT_EQ(part->updates_accepted, 1U);
  EXPECT_EQ(part->bytes_out, 200U);
  EXPECT_EQ(part->tensors_out, 2U);
  EXPECT_EQ(part->examples, 100U);
  EXPECT_TRUE(it.store.audited("update.accept", "broker"));
}

TEST(Results, TheSameResultAgainIsAcceptedAgainAndCountsOnce) {
  RunningJob it;
  it.deliver(it.north, it.train("north"), blob(2));
  EXPECT_EQ(refusal_code(it.announce(it.north, it.train("north"), blob(2)), it.north), "accepted");
  it.arrive(it.train("north"), blob(2));
  EXPECT_EQ(it.store.part(it.id, SiteId::literal("north"))->updates_accepted, 1U);
}

TEST(Results, AnotherResultOfADoneTaskIsAConflict) {
  RunningJob it;
  it.deliver(it.north, it.train("north"), blob(2));
  EXPECT_EQ(refusal_code(it.announce(it.north, it.train("north"), blob(9)), it.north), "conflict");
  EXPECT_EQ(it.store.task(it.train("north"))->result.blob, blob(2));
}

TEST(Results, AnAnnouncementThatChangesItsMindLosesTheFirstGrant) {
  RunningJob it;
  it.announce(it.north, it.train("north"), blob(2));
  EXPECT_TRUE(all<Revoke>(it.announce(it.north, it.train("north"), blob(2))).empty());
  const auto effects = it.announce(it.north, it.train("north"), blob(9));
  ASSERT_EQ(all<Revoke>(effects).size(), 1U);
  EXPECT_EQ(all<Revoke>(effects)[0].blob, blob(2));
  EXPECT_TRUE(is_dropped(it.arrive(it.train("north"), blob(2)), blob(2)));
  EXPECT_FALSE(verdict(it.arrive(it.train("north"), blob(9)), it.north).refusal);
}

TEST(Results, AGrantThatAnotherJobNeedsIsNotRevoked) {
  RunningJob it;
  const auto other = it.submit(RunningJob::three_site_spec());
  for (const auto site : {it.east, it.north, it.south}) {
    it.accept(site, other);
  }
  it.deliver(it.east, key(other, 0, TaskKind::initialize, "east"), blob(100));
  it.announce(it.north, it.train("north"), blob(2));
  const auto twin = key(other, 1, TaskKind::train, "north");
  it.announce(it.north, twin, blob(2));
  EXPECT_TRUE(all<Revoke>(it.ask(it.alice, msg::AbortJob{it.id, ""})).empty());
  EXPECT_FALSE(verdict(it.arrive(twin, blob(2)), it.north).refusal);
}

TEST(Results, OfAFinishedRoundAreStale) {
  RunningJob it;
  it.deliver(it.east, it.train("east"), blob(1));
  it.deliver(it.north, it.train("north"), blob(2));
  it.wait(small_spec().stall_window);
  EXPECT_EQ(refusal_code(it.announce(it.south, it.train("south"), blob(3)), it.south), "stale");
  it.merged(it.id, 1, blob(101));
  EXPECT_EQ(refusal_code(it.announce(it.south, it.train("south"), blob(3)), it.south), "stale");
  EXPECT_TRUE(is_dropped(it.arrive(it.train("south"), blob(3)), blob(3)));
}

// With topk a site that hears "stale" takes back what its next updates were to make up for.
TEST(Results, ThatWereAcceptedAreAcceptedAgainWhenTheRoundIsOver) {
  RunningJob it;
  it.deliver(it.east, it.train("east"), blob(1));
  it.deliver(it.north, it.train("north"), blob(2));
  it.deliver(it.south, it.train("south"), blob(3));
  it.merged(it.id, 1, blob(101));
  const auto again = it.announce(it.north, it.train("north"), blob(2));
  EXPECT_FALSE(verdict(again, it.north).refusal);
  EXPECT_EQ(refusal_code(it.announce(it.north, it.train("north"), blob(9)), it.north), "stale");

  it.restart();
  it.north = it.connect("north");
  EXPECT_FALSE(verdict(it.announce(it.north, it.train("north"), blob(2)), it.north).refusal);
}

TEST(Results, OfAnEndedOrUnknownJobAreStale) {
  RunningJob it;
  auto unknown = it.train("north");
  unknown.job = JobId::literal("skin-1");
  EXPECT_EQ(refusal_code(it.announce(it.north, unknown, blob(2)), it.north), "stale");
  it.ask(it.alice, msg::AbortJob{it.id, ""});
  EXPECT_EQ(refusal_code(it.announce(it.north, it.train("north"), blob(2)), it.north), "stale");
}

TEST(Results, ASiteSpeaksForItselfOnly) {
  RunningJob it;
  EXPECT_EQ(refusal_code(it.announce(it.south, it.train("north"), blob(9)), it.south), "stale");
  const TaskFailure failure{{"broken", "no", "", {}}, false};
  EXPECT_TRUE(it.hear(it.south, msg::TaskFailed{it.train("north"), failure}).rows.empty());
  it.announce(it.north, it.train("north"), blob(2));
  EXPECT_TRUE(it.on(UpdateArrived{"site/south", blob(2), 1.0}).actions.empty());

  it.wait(small_spec().stall_window - Millis(1));
  it.hear(it.south, msg::TaskReport{it.train("north"), {1, 10, "examples"}});
  it.on(TransferMoved{"site/south", blob(2), 1, 200});
  it.wait(Millis(1));
  const auto& events = it.store.events(it.id);
  EXPECT_TRUE(std::any_of(events.begin(), events.end(), [](const JobEvent& event) {
    return event.kind == JobEventKind::task_lost && event.site == "north";
  })) << "nobody keeps another site's task alive";
}

TEST(Results, NumbersAreCheckedBeforeAByteIsTaken) {
  const auto refused = [](TaskResult result) {
    RunningJob it;
    const auto effects = it.hear(it.north, msg::ResultAnnounce{it.train("north"), result});
    EXPECT_TRUE(all<GrantPut>(effects).empty());
    EXPECT_EQ(it.store.task(it.train("north"))->state, TaskState::failed);
    EXPECT_TRUE(it.store.audited("update.refuse", "broker"));
    return refusal_code(effects, it.north);
  };
  EXPECT_EQ(refused({blob(2), 200, 0, 1, {}}), "examples_invalid");
  EXPECT_EQ(refused({blob(2), 200, limits::kExamplesMax + 1, 1, {}}), "examples_invalid");
  EXPECT_EQ(refused({std::nullopt, 0, 100, 1, {}}), "result_invalid");
  EXPECT_EQ(refused({blob(2), 40 + limits::kTensorHeaderBytesMax + 1, 100, 1, {}}),
            "result_too_large");
}

TEST(Results, AnUpdateThatFailsItsChecksIsRefusedInTheWordsOfTheCheck) {
  RunningJob it;
  it.announce(it.north, it.train("north"), blob(2));
  const auto effects = it.on(
      UpdateArrived{"site/north", blob(2), refuse("tensor_not_finite", "fc1.weight has a NaN")});
  EXPECT_EQ(refusal_code(effects, it.north), "tensor_not_finite");
  EXPECT_EQ(it.store.task(it.train("north"))->state, TaskState::failed);
  EXPECT_THAT(it.store.part(it.id, SiteId::literal("north"))->reason, HasSubstr("has a NaN"));
  EXPECT_EQ(it.state(it.id), JobState::running) << "one site's fault never ends a job";
}

TEST(Results, AnEvaluationCarriesMetricsAndNoTensors) {
  Scenario it;
  const auto north = it.connect("north");
  auto spec = small_spec(1);
  spec.evaluate = EvaluateSpec{"scans", 1};
  const auto id = it.submit(spec);
  it.accept(north, id);
  it.deliver(north, key(id, 0, TaskKind::initialize, "north"), blob(100));
  it.deliver(north, key(id, 1, TaskKind::train, "north"), blob(1));
  it.merged(id, 1, blob(101));
  const auto evaluate = key(id, 1, TaskKind::evaluate, "north");
  const auto effects = it.hear(north, msg::ResultAnnounce{evaluate, {std::nullopt, 0, 10, 0, {}}});
  EXPECT_EQ(refusal_code(effects, north), "result_invalid");
  EXPECT_EQ(it.state(id), JobState::completed) << "nobody else could evaluate";
}

TEST(Tasks, ATransientFailureIsTriedASecondTimeAndThenNoMore) {
  RunningJob it;
  const TaskFailure failure{{"trainer_died", "killed by signal 9", "", {}}, true};
  auto effects = it.hear(it.north, msg::TaskFailed{it.train("north"), failure});
  const auto offers = sent<msg::TaskOffer>(effects, it.north);
  ASSERT_EQ(offers.size(), 1U);
  EXPECT_EQ(offers[0].order.key, it.train("north", 1, 2));
  EXPECT_TRUE(it.hear(it.north, msg::TaskFailed{it.train("north"), failure}).rows.empty())
      << "said twice, counts once";
  effects = it.hear(it.north, msg::TaskFailed{it.train("north", 1, 2), failure});
  EXPECT_TRUE(sent<msg::TaskOffer>(effects, it.north).empty());
  EXPECT_EQ(it.store.part(it.id, SiteId::literal("north"))->reason, "killed by signal 9");
  it.deliver(it.east, it.train("east"), blob(1));
  EXPECT_EQ(all<StartMerge>(it.deliver(it.south, it.train("south"), blob(3))).size(), 1U)
      << "every site has answered";
}

TEST(Tasks, TheSecondAttemptHasTheSameSeed) {
  RunningJob it;
  it.on(SessionClosed{it.north});
  it.north = it.open(Role::site, "north");
  it.hello(it.north);
  const auto first = sent<msg::TaskOffer>(it.hear(it.north, msg::Advert{advert()}), it.north);
  const auto second = sent<msg::TaskOffer>(
      it.hear(it.north, msg::TaskFailed{it.train("north"), {{"died", "no", "", {}}, true}}),
      it.north);
  EXPECT_EQ(first.at(0).order.seed, second.at(0).order.seed);
}

TEST(Tasks, APermanentFailureIsNotTriedAgain) {
  RunningJob it;
  const auto effects =
      it.hear(it.north, msg::TaskFailed{it.train("north"), {{"broken", "no", "", {}}, false}});
  EXPECT_TRUE(sent<msg::TaskOffer>(effects, it.north).empty());
  EXPECT_EQ(refusal_code(it.announce(it.north, it.train("north"), blob(2)), it.north), "stale");
}

TEST(Tasks, AnUpdateOfTheFirstAttemptIsStaleOnceTheSecondIsOut) {
  RunningJob it;
  it.announce(it.north, it.train("north"), blob(2));
  it.hear(it.north, msg::TaskFailed{it.train("north"), {{"died", "no", "", {}}, true}});
  EXPECT_TRUE(is_dropped(it.arrive(it.train("north"), blob(2)), blob(2)));
  EXPECT_EQ(refusal_code(it.announce(it.north, it.train("north"), blob(2)), it.north), "stale");
  it.deliver(it.north, it.train("north", 1, 2), blob(2));
  EXPECT_EQ(it.store.part(it.id, SiteId::literal("north"))->updates_accepted, 1U);
}

TEST(Tasks, OpenOnesAreOfferedAgainOnReconnectWithTheirGrants) {
  RunningJob it;
  it.on(SessionClosed{it.north});
  it.north = it.open(Role::site, "north");
  it.hello(it.north);
  const auto effects = it.hear(it.north, msg::Advert{advert()});
  EXPECT_EQ(sent<msg::TaskOffer>(effects, it.north).at(0).order.key, it.train("north"));
  EXPECT_EQ(all<GrantGet>(effects).at(0).blob, blob(100));
}

}  // namespace
}  // namespace entente::broker
