#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/agent_core/scenario.h"

namespace entente::agent {
namespace {

const Refusal kUnreachable{"broker_unreachable", "connection refused", "", Scope::broker};

TEST(Session, SaysHelloAndIsConnectedOnlyAfterWelcome) {
  Scenario s;
  EXPECT_TRUE(has<effect::Dial>(s.on(event::Started{})));
  const auto hello = sent<msg::Hello>(s.on(event::SessionOpened{}));
  ASSERT_EQ(hello.size(), 1U);
  EXPECT_EQ(hello[0].instance, 77U);
  EXPECT_FALSE(s.core.connected());
  const auto adverts = sent<msg::Advert>(s.hear(msg::Welcome{}));
  ASSERT_EQ(adverts.size(), 1U);
  EXPECT_EQ(adverts[0].advert, s.settings.advert);
  EXPECT_TRUE(s.core.connected());
}

TEST(Session, ThatIsRefusedHangsUpAndTriesAgainLater) {
  Scenario s;
  s.on(event::Started{});
  s.on(event::SessionOpened{});
  const Effects refused =
      s.hear(msg::Refused{{"instance_conflict", "another installation is connected", "", {}}});
  EXPECT_TRUE(has<effect::HangUp>(refused));
  EXPECT_FALSE(has<effect::Dial>(refused));
  EXPECT_THAT(all<effect::Note>(refused).at(0).sentence,
              ::testing::HasSubstr("another installation is connected"));
  EXPECT_TRUE(has<effect::Dial>(s.sleep()));
}

TEST(Session, WithASilentBrokerIsGivenUp) {
  Scenario s;
  s.on(event::Started{});
  s.on(event::SessionOpened{});
  s.advance(limits::kHandshakeMax);
  EXPECT_TRUE(has<effect::HangUp>(s.on(event::Woke{})));
}

TEST(Session, WithABrokerThatSpeaksTooEarlyIsEnded) {
  Scenario s;
  s.on(event::Started{});
  s.on(event::SessionOpened{});
  const Effects effects = s.hear(Scenario::offer());
  EXPECT_TRUE(has<effect::HangUp>(effects));
  EXPECT_FALSE(has<effect::StartTrainer>(effects));
}

TEST(Session, PausesGrowWithFullJitterBetweenTheBounds) {
  Millis longest{0};
  Millis shortest_late = Millis::max();
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    AgentSettings settings = Scenario::defaults();
    settings.jitter_seed = seed;
    Scenario s(settings);
    s.on(event::Started{});
    for (int failure = 1; failure <= 10; ++failure) {
      s.on(event::DialFailed{kUnreachable});
      const Millis pause = *s.core.wake_at() - s.now.monotonic;
      const Millis cap =
          std::min<Millis>(limits::kBackoffMax, limits::kBackoffMin * (1 << failure));
      EXPECT_GE(pause, Millis(limits::kBackoffMin));
      EXPECT_LE(pause, cap) << "failure " << failure;
      longest = std::max(longest, pause);
      if (failure == 10) {
        shortest_late = std::min(shortest_late, pause);
      }
      EXPECT_TRUE(has<effect::Dial>(s.sleep()));
    }
  }
  EXPECT_GT(longest, Millis(limits::kBackoffMax) * 9 / 10);
  EXPECT_LT(shortest_late, Millis(limits::kBackoffMax) / 10) << "full jitter, not only upper half";
}

TEST(Session, PausesStartOverAfterWelcome) {
  Scenario s;
  s.on(event::Started{});
  for (int failure = 0; failure < 10; ++failure) {
    s.on(event::DialFailed{kUnreachable});
    s.sleep();
  }
  s.connect();
  s.lose_session();
  EXPECT_LE(*s.core.wake_at() - s.now.monotonic, 2 * Millis(limits::kBackoffMin));
}

TEST(Session, ThatReturnsHearsOfEverythingOpen) {
  Scenario s;
  s.start();
  const TrainerId trainer = s.enrol();
  s.begin(Scenario::train(1));
  s.complete(Scenario::train(1), trainer, blob(101));
  s.begin(Scenario::train(2));
  s.lose_session();
  EXPECT_TRUE(sent<msg::TaskReport>(s.on(event::TrainerProgressed{trainer, {320, 640, "examples"}}))
                  .empty());
  const Effects welcomed = s.reconnect();
  EXPECT_EQ(sent<msg::Advert>(welcomed).size(), 1U);
  ASSERT_EQ(sent<msg::ResultAnnounce>(welcomed).size(), 1U);
  EXPECT_EQ(sent<msg::ResultAnnounce>(welcomed)[0].key, Scenario::train(1).key);
  ASSERT_EQ(sent<msg::TaskReport>(welcomed).size(), 1U);
  EXPECT_EQ(sent<msg::TaskReport>(welcomed)[0].progress.done, 320U);
}

TEST(Session, LossDoesNotStopTrainingAndTheResultIsKept) {
  Scenario s;
  s.start();
  const TrainerId trainer = s.enrol();
  s.begin(Scenario::train(1));
  EXPECT_FALSE(has<effect::StopTrainer>(s.lose_session()));
  const Effects finished = s.complete(Scenario::train(1), trainer, blob(101));
  EXPECT_TRUE(has<effect::SaveResult>(finished));
  EXPECT_FALSE(has<effect::RecordDeparture>(finished)) << "nothing has left the house yet";
  EXPECT_TRUE(sent<msg::ResultAnnounce>(finished).empty());
  EXPECT_EQ(sent<msg::ResultAnnounce>(s.reconnect()).size(), 1U);
}

Promise promise_of(const std::string& job) {
  return {JobId::literal(job), "alice", small_spec(), blob(200)};
}

OutboxEntry entry_of(const std::string& job, std::uint8_t update) {
  TaskResult result;
  result.blob = blob(update);
  result.blob_bytes = 4096;
  return {Scenario::train(1, 1, job), result};
}

TEST(Restart, KeepsPromisesAndResults) {
  Recovered recovered{{promise_of("lung-1")}, {entry_of("lung-1", 101)}, {blob(101)}};
  Scenario s(Scenario::defaults(), recovered);
  const Effects welcomed = s.start();
  EXPECT_EQ(sent<msg::ResultAnnounce>(welcomed).size(), 1U);
  const Effects offered = s.hear(Scenario::offer());
  ASSERT_EQ(sent<msg::JobReply>(offered).size(), 1U);
  EXPECT_FALSE(sent<msg::JobReply>(offered)[0].decline);
  EXPECT_FALSE(has<effect::StartTrainer>(offered)) << "decided jobs start trainers for tasks only";
  EXPECT_TRUE(has<effect::StartTrainer>(s.begin(Scenario::train(2))));
}

TEST(Restart, WithAStricterPolicyWithdrawsPromisesAndKeepsTheirResultsAtHome) {
  AgentSettings settings = Scenario::defaults();
  settings.policy.coordinators = {"carol"};
  Recovered recovered{{promise_of("lung-1")}, {entry_of("lung-1", 101)}, {blob(101)}};
  Scenario s(settings, recovered);
  const Effects started = s.on(event::Started{});
  EXPECT_TRUE(has<effect::ForgetPromise>(started));
  EXPECT_EQ(all<effect::RemoveBlob>(started).at(0).blob, blob(101));
  EXPECT_TRUE(sent<msg::ResultAnnounce>(s.connect()).empty());
}

TEST(Restart, DropsAResultWhoseBlobIsGone) {
  Recovered recovered{{promise_of("lung-1")}, {entry_of("lung-1", 101)}, {}};
  Scenario s(Scenario::defaults(), recovered);
  EXPECT_TRUE(has<effect::DropResult>(s.on(event::Started{})));
  EXPECT_TRUE(sent<msg::ResultAnnounce>(s.connect()).empty());
}

TEST(Restart, KeepsUnclaimedModelsForATaskAndRemovesTheRest) {
  Recovered recovered{{promise_of("lung-1")}, {}, {blob(1), blob(50)}};
  Scenario s(Scenario::defaults(), recovered);
  EXPECT_FALSE(has<effect::RemoveBlob>(s.start()));
  EXPECT_FALSE(has<effect::Download>(s.hear(msg::TaskOffer{Scenario::train(1)})));
  s.advance(kUnclaimedModelsKept);
  const auto removed = all<effect::RemoveBlob>(s.on(event::Woke{}));
  ASSERT_EQ(removed.size(), 1U);
  EXPECT_EQ(removed[0].blob, blob(50));
}

TEST(Session, RepeatsThePromisesSoThatALostJobClosedIsSaidAgain) {
  Scenario s;
  s.start();
  s.enrol();
  s.lose_session();
  const auto promises = sent<msg::JobReply>(s.reconnect());
  ASSERT_EQ(promises.size(), 1U);
  EXPECT_EQ(promises[0].job.str(), "lung-1");
  EXPECT_FALSE(promises[0].decline);
  EXPECT_TRUE(has<effect::ForgetPromise>(
      s.hear(msg::JobClosed{JobId::literal("lung-1"), "the job has ended"})));
}

}  // namespace
}  // namespace entente::agent
