// What the site's people and its clock have to say: approvals, hours, limits, pauses.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/domain/lost_promise.h"
#include "tests/unit/agent_core/scenario.h"

namespace entente::agent {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr UnixMillis kDay = 24 * 3'600'000;

AgentSettings with(void (*change)(Policy&)) {
  auto settings = Scenario::defaults();
  change(settings.policy);
  return settings;
}

AgentSettings manual() {
  return with([](Policy& policy) { policy.approve = Approval::manual; });
}

AgentSettings two_rounds_a_day() {
  return with([](Policy& policy) { policy.rounds_per_day = 2; });
}

Decision decision(const Scenario& s, bool approved, Millis hold = std::chrono::hours(1)) {
  return {JobId::literal("lung-1"),
          blob(200),
          approved,
          "rosa",
          "checked with the ethics board",
          s.now.unix_ms,
          s.now.unix_ms + hold.count()};
}

TEST(Approval, ParksTheJobAndTellsTheBrokerBeforeAnyDataIsTouched) {
  Scenario s(manual());
  s.start();
  const auto effects = s.hear(Scenario::offer());
  EXPECT_FALSE(has<effect::StartTrainer>(effects));
  EXPECT_THAT(sent<msg::JobReply>(effects), IsEmpty());
  const auto waits = sent<msg::JobWaits>(effects);
  ASSERT_EQ(waits.size(), 1U);
  EXPECT_EQ(waits[0].reason, "policy clause \"approve\" (manual): waits for approval at the site");
  EXPECT_EQ(waits[0].spec_digest, blob(200));
  ASSERT_EQ(s.core.jobs().size(), 1U);
  EXPECT_TRUE(s.core.jobs()[0].awaits_approval);
}

TEST(Approval, IsRepeatedToABrokerThatAsksAgain) {
  Scenario s(manual());
  s.start();
  s.hear(Scenario::offer());
  EXPECT_EQ(sent<msg::JobWaits>(s.hear(Scenario::offer())).size(), 1U);
}

TEST(Approval, LetsTheJobGoOnAndIsInTheJournalWithWhoAndWhy) {
  Scenario s(manual());
  s.start();
  s.hear(Scenario::offer());
  const auto effects = s.on(event::Decided{decision(s, true)});
  ASSERT_EQ(all<effect::SaveDecision>(effects).size(), 1U);
  EXPECT_EQ(all<effect::SaveDecision>(effects)[0].decision, decision(s, true));
  ASSERT_EQ(all<effect::StartTrainer>(effects).size(), 1U);
  const auto accepted = s.on(event::TrainerPrepared{all<effect::StartTrainer>(effects)[0].trainer});
  ASSERT_EQ(sent<msg::JobReply>(accepted).size(), 1U);
  EXPECT_FALSE(sent<msg::JobReply>(accepted)[0].decline);
}

TEST(Approval, ThatIsDeniedDeclinesTheJobWithTheReasonAlsoWhenItIsOfferedAgain) {
  Scenario s(manual());
  s.start();
  s.hear(Scenario::offer());
  const auto effects = s.on(event::Decided{decision(s, false)});
  const auto replies = sent<msg::JobReply>(effects);
  ASSERT_EQ(replies.size(), 1U);
  EXPECT_EQ(replies[0].decline->message,
            "denied by the site's people: checked with the ethics board");
  Recovered recovered;
  recovered.decisions = {decision(s, false)};
  Scenario after(manual(), recovered);
  after.start();
  const auto again = sent<msg::JobReply>(after.hear(Scenario::offer()));
  ASSERT_EQ(again.size(), 1U);
  EXPECT_TRUE(again[0].decline);
}

TEST(Approval, BindsTheSpecsDigest) {
  Scenario s(manual());
  Recovered recovered;
  auto other = decision(s, true);
  other.spec_digest = blob(201);
  recovered.decisions = {other};
  Scenario after(manual(), recovered);
  after.start();
  EXPECT_FALSE(has<effect::StartTrainer>(after.hear(Scenario::offer())));
  EXPECT_FALSE(has<effect::SaveDecision>(after.on(event::Decided{other})))
      << "a decision about another spec than the one that waits";
}

TEST(Approval, HoldsOverARestartUntilItExpires) {
  Recovered recovered;
  recovered.promises = {{JobId::literal("lung-1"), "alice", small_spec(), blob(200)}};
  Scenario s(manual());
  recovered.decisions = {decision(s, true)};
  Scenario after(manual(), recovered);
  after.start();
  EXPECT_TRUE(has<effect::StartTrainer>(after.begin(Scenario::train(1))));

  Scenario late(manual(), recovered);
  late.advance(std::chrono::hours(1));
  late.start();
  const auto effects = late.begin(Scenario::train(1));
  EXPECT_FALSE(has<effect::StartTrainer>(effects));
  EXPECT_TRUE(late.core.jobs()[0].awaits_approval);
}

TEST(Hours, HoldAnOfferUntilTheyComeAndAskForTheWakeUp) {
  Scenario s(with([](Policy& policy) { policy.hours = Hours::parse("23:00-23:30"); }));
  s.start();  // at 22:13 UTC
  const auto effects = s.hear(Scenario::offer());
  EXPECT_FALSE(has<effect::StartTrainer>(effects));
  ASSERT_EQ(sent<msg::JobWaits>(effects).size(), 1U);
  EXPECT_THAT(sent<msg::JobWaits>(effects)[0].reason, HasSubstr("free again 23:00 UTC"));
  ASSERT_TRUE(s.core.wake_at());
  EXPECT_LE(*s.core.wake_at(), s.now.monotonic + std::chrono::minutes(1));
  s.advance(std::chrono::minutes(47));
  EXPECT_TRUE(has<effect::StartTrainer>(s.on(event::Woke{})));
}

TEST(RoundsPerDay, HoldTheNextRoundUntilMidnightAndReportNoProgressMeanwhile) {
  Scenario s(two_rounds_a_day());
  s.start();
  const auto trainer = s.enrol();
  for (Round round = 1; round <= 2; ++round) {
    const auto begun = s.begin(Scenario::train(round));
    ASSERT_EQ(all<effect::SpendRound>(begun).size(), 1U);
    EXPECT_EQ(all<effect::SpendRound>(begun)[0].round.coordinator, "alice");
    s.complete(Scenario::train(round), trainer, blob(static_cast<std::uint8_t>(100 + round)));
  }
  const auto held = s.begin(Scenario::train(3));
  EXPECT_FALSE(has<effect::RunTask>(held));
  EXPECT_FALSE(has<effect::SpendRound>(held));
  EXPECT_EQ(s.core.jobs()[0].waits,
            "policy clause \"rounds_per_day\" (2 of 2 used, free again 00:00 UTC)");
  s.advance(std::chrono::seconds(30));
  EXPECT_THAT(sent<msg::TaskReport>(s.on(event::Woke{})), IsEmpty())
      << "the broker may give the place to another site";
  s.advance(std::chrono::hours(2));
  const auto begun = s.on(event::Woke{});
  EXPECT_TRUE(has<effect::StartTrainer>(begun) || has<effect::RunTask>(begun));
  const auto told = sent<msg::JobWaits>(begun);
  ASSERT_EQ(told.size(), 1U);
  EXPECT_EQ(told[0].reason, "") << "it waits no longer";
}

TEST(RoundsPerDay, CountARoundOnceHoweverOftenItIsTried) {
  Scenario s(two_rounds_a_day());
  s.start();
  const auto trainer = s.enrol();
  s.begin(Scenario::train(1));
  s.on(event::TrainerRefused{trainer, {{"x", "x", "", {}}, true}});
  const auto again = s.begin(Scenario::train(1, 2));
  EXPECT_TRUE(has<effect::RunTask>(again));
  EXPECT_FALSE(has<effect::SpendRound>(again));
}

TEST(RoundsPerDay, AreCountedOverARestartAndDamagedRowsCountAgainstThem) {
  Recovered recovered;
  recovered.promises = {{JobId::literal("lung-1"), "alice", small_spec(), blob(200)}};
  Scenario s;
  recovered.spent = {{JobId::literal("lung-1"), 1, "alice", s.now.unix_ms / kDay},
                     {JobId::literal("lung-0"), 1, "alice", s.now.unix_ms / kDay - 1}};
  Scenario half_used(two_rounds_a_day(), recovered);
  half_used.start();
  EXPECT_TRUE(has<effect::StartTrainer>(half_used.begin(Scenario::train(2))));
  recovered.spent_damaged = 1;
  Scenario damaged(two_rounds_a_day(), recovered);
  damaged.start();
  EXPECT_FALSE(has<effect::StartTrainer>(damaged.begin(Scenario::train(2))));
}

TEST(Cohort, ThatIsTooSmallIsRefusedAtTheTask) {
  auto settings = Scenario::defaults();
  settings.policy.cohort_min = 3;
  Scenario s(settings);
  s.start();
  auto offer = Scenario::offer();
  offer.spec.sites.min = 3;
  const auto starts = all<effect::StartTrainer>(s.hear(offer));
  ASSERT_EQ(starts.size(), 1U);
  s.on(event::TrainerPrepared{starts[0].trainer});
  auto order = Scenario::train(1);
  order.cohort = 2;
  const auto failed = sent<msg::TaskFailed>(s.hear(msg::TaskOffer{order}));
  ASSERT_EQ(failed.size(), 1U);
  EXPECT_EQ(failed[0].failure.reason.message,
            "policy clause \"cohort_min\" asks for 3 sites in a round, this one has 2");
  order.cohort = 3;
  order.key.attempt = 2;
  EXPECT_THAT(sent<msg::TaskFailed>(s.hear(msg::TaskOffer{order})), IsEmpty());
}

TEST(Cohort, IsOneInAJobThatShowsEachSitesModelHoweverManyTakePart) {
  auto settings = Scenario::defaults();
  settings.policy.cohort_min = 2;
  settings.policy.kinds = {"*"};
  Scenario s(settings);
  s.start();
  auto offer = Scenario::offer();
  offer.spec.kind = JobKind::cross_evaluate;
  offer.spec.rounds = 1;
  offer.spec.sites.min = 5;
  offer.spec.sites.max = 32;
  offer.spec.evaluate = EvaluateSpec{offer.spec.train.dataset, 1};
  const auto replies = sent<msg::JobReply>(s.hear(offer));
  ASSERT_EQ(replies.size(), 1U);
  ASSERT_TRUE(replies[0].decline);
  EXPECT_THAT(replies[0].decline->message, HasSubstr("shows them each site's own model"));
}

TEST(CrossEvaluation, NeedsTheDatasetThatItJudgesBy) {
  auto settings = Scenario::defaults();
  settings.policy.kinds = {"*"};
  settings.policy.datasets = {"*"};
  Scenario s(settings);
  s.start();
  auto offer = Scenario::offer();
  offer.spec.kind = JobKind::cross_evaluate;
  offer.spec.rounds = 1;
  offer.spec.sites.max = 32;
  offer.spec.evaluate = EvaluateSpec{"held-out-elsewhere", 1};
  const auto replies = sent<msg::JobReply>(s.hear(offer));
  ASSERT_EQ(replies.size(), 1U);
  ASSERT_TRUE(replies[0].decline);
  EXPECT_EQ(replies[0].decline->code, "dataset_unknown");
  offer.job = JobId::literal("other-1");
  offer.spec.evaluate->dataset = offer.spec.train.dataset;
  EXPECT_EQ(all<effect::StartTrainer>(s.hear(offer)).size(), 1U);
}

Pause a_pause() { return {"rosa", "a strange update", 5}; }

TEST(Pause, StopsTrainersAndTransfersAndSaysNothingButThatItIsOne) {
  Scenario s;
  s.start();
  const auto trainer = s.enrol();
  s.begin(Scenario::train(1));
  const auto effects = s.on(event::Paused{a_pause()});
  EXPECT_EQ(all<effect::SavePause>(effects).size(), 1U);
  ASSERT_EQ(all<effect::StopTrainer>(effects).size(), 1U);
  EXPECT_EQ(all<effect::StopTrainer>(effects)[0].trainer, trainer);
  ASSERT_EQ(all<effect::Send>(effects).size(), 1U);
  const auto adverts = sent<msg::Advert>(effects);
  ASSERT_EQ(adverts.size(), 1U);
  EXPECT_TRUE(adverts[0].advert.paused);
  EXPECT_EQ(adverts[0].advert.pause_reason, "a strange update");
  for (const auto& later : {s.hear(msg::TaskOffer{Scenario::train(2)}),
                            s.hear(Scenario::offer("lung-2")), s.on(event::Woke{})}) {
    EXPECT_THAT(later, IsEmpty());
  }
}

TEST(Pause, CutsAnUploadAndKeepsTheResultForLater) {
  Scenario s;
  s.start();
  const auto trainer = s.enrol();
  const auto order = Scenario::train(1);
  s.begin(order);
  s.complete(order, trainer, blob(101));
  ASSERT_TRUE(has<effect::Upload>(s.hear(msg::ResultGrant{order.key, blob(101)})));
  const auto effects = s.on(event::Paused{a_pause()});
  EXPECT_EQ(all<effect::StopUpload>(effects).size(), 1U);
  s.on(event::UploadEnded{order.key, Refusal{"stopped", "stopped", "", {}}});
  EXPECT_FALSE(has<effect::Upload>(s.on(event::Woke{})));
  EXPECT_FALSE(has<effect::Upload>(s.hear(msg::ResultGrant{order.key, blob(101)})));
  const auto resumed = s.on(event::Resumed{"rosa"});
  EXPECT_EQ(sent<msg::ResultAnnounce>(resumed).size(), 1U);
  EXPECT_TRUE(has<effect::Upload>(s.hear(msg::ResultGrant{order.key, blob(101)})));
}

TEST(Pause, KeepsWhatATrainerHadJustFinished) {
  Scenario s;
  s.start();
  const auto trainer = s.enrol();
  const auto order = Scenario::train(1);
  s.begin(order);
  s.on(event::TrainerFinished{trainer, 640, 20, {{"loss", 0.5}}});
  s.on(event::Paused{a_pause()});
  const auto stored = s.on(event::OutputStored{order.key, blob(101), 4096});
  EXPECT_EQ(all<effect::SaveResult>(stored).size(), 1U);
  EXPECT_THAT(all<effect::Send>(stored), IsEmpty());
  EXPECT_FALSE(has<effect::RecordDeparture>(stored)) << "nothing has left";
}

TEST(Pause, WorksWithTheBrokerAwayAndOutlivesARestart) {
  Scenario s;
  s.start();
  s.enrol();
  s.begin(Scenario::train(1));
  s.lose_session();
  EXPECT_TRUE(has<effect::StopTrainer>(s.on(event::Paused{a_pause()})));
  Recovered recovered;
  recovered.promises = {{JobId::literal("lung-1"), "alice", small_spec(), blob(200)}};
  recovered.pause = a_pause();
  Scenario after(Scenario::defaults(), recovered);
  const auto greeted = after.start();
  ASSERT_EQ(all<effect::Send>(greeted).size(), 1U) << "no promise is repeated";
  EXPECT_TRUE(sent<msg::Advert>(greeted)[0].advert.paused);
  const auto resumed = after.on(event::Resumed{"rosa"});
  EXPECT_TRUE(has<effect::ClearPause>(resumed));
  ASSERT_EQ(sent<msg::Advert>(resumed).size(), 1U);
  EXPECT_FALSE(sent<msg::Advert>(resumed)[0].advert.paused);
  EXPECT_EQ(sent<msg::JobReply>(resumed).size(), 1U);
}

TEST(Configuration, ThatChangesIsToldAndWithdrawsWhatItNoLongerCovers) {
  Scenario s;
  s.start();
  s.enrol();
  s.begin(Scenario::train(1));
  auto advert = s.settings.advert;
  advert.jurisdiction = "DE";
  Policy policy = s.settings.policy;
  EXPECT_EQ(sent<msg::Advert>(s.on(event::Reconfigured{advert, policy}))[0].advert.jurisdiction,
            "DE");
  policy.coordinators = {"bob"};
  const auto effects = s.on(event::Reconfigured{advert, policy});
  const auto replies = sent<msg::JobReply>(effects);
  ASSERT_EQ(replies.size(), 1U);
  EXPECT_EQ(replies[0].decline->message, "policy clause \"coordinators\" does not list \"alice\"");
  EXPECT_TRUE(has<effect::StopTrainer>(effects));
  EXPECT_TRUE(has<effect::ForgetPromise>(effects));
}

TEST(Configuration, ThatChangesWhileTheBrokerIsAwayIsItsAnswerWhenTheJobIsOfferedAnew) {
  Scenario s;
  s.start();
  s.enrol();
  s.on(event::SessionEnded{{"gone", "the broker has gone", "", {}}});
  Policy policy = s.settings.policy;
  policy.coordinators = {"bob"};
  s.on(event::Reconfigured{s.settings.advert, policy});
  s.reconnect();
  const auto failed = sent<msg::TaskFailed>(s.hear(msg::TaskOffer{Scenario::train(1)}));
  ASSERT_EQ(failed.size(), 1U);
  EXPECT_EQ(failed[0].failure.reason.code, msg::kJobUnknown) << "has the broker ask anew";
  const auto replies = sent<msg::JobReply>(s.hear(Scenario::offer()));
  ASSERT_EQ(replies.size(), 1U);
  EXPECT_TRUE(replies[0].decline);
}

}  // namespace
}  // namespace entente::agent
