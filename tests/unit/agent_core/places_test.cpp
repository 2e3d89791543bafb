// The pool of trainers that the agents of one machine share.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/agent_core/scenario.h"

namespace entente::agent {
namespace {

AgentSettings sharing(std::uint32_t slots = 1) {
  AgentSettings settings = Scenario::defaults();
  settings.shares_trainer_pool = true;
  settings.advert.slots = slots;
  return settings;
}

// With the pool's first place: the job is accepted, and its trainer is warm.
TrainerId enrol(Scenario& s, const std::string& job = "lung-1") {
  EXPECT_TRUE(has<effect::SeekPlace>(s.hear(Scenario::offer(job))));
  const auto starts = all<effect::StartTrainer>(s.on(event::PlaceTaken{}));
  EXPECT_EQ(starts.size(), 1U);
  const Effects prepared = s.on(event::TrainerPrepared{starts.at(0).trainer});
  EXPECT_EQ(sent<msg::JobReply>(prepared).size(), 1U);
  EXPECT_TRUE(has<effect::RestTrainer>(prepared)) << "nothing to compute yet";
  return starts.at(0).trainer;
}

TEST(Place, IsNotAskedForWithoutAPool) {
  Scenario s;
  s.start();
  const TrainerId trainer = s.enrol();
  EXPECT_FALSE(has<effect::SeekPlace>(s.begin(Scenario::train(1))));
  const Effects finished = s.complete(Scenario::train(1), trainer, blob(101));
  EXPECT_FALSE(has<effect::RestTrainer>(finished));
}

TEST(Place, ComesBeforeATrainerIsStarted) {
  Scenario s(sharing());
  s.start();
  const Effects offered = s.hear(Scenario::offer());
  EXPECT_FALSE(has<effect::StartTrainer>(offered));
  EXPECT_TRUE(has<effect::SeekPlace>(offered));
  EXPECT_FALSE(has<effect::SeekPlace>(s.hear(Scenario::offer("lung-2")))) << "one at a time";
  EXPECT_EQ(all<effect::StartTrainer>(s.on(event::PlaceTaken{})).size(), 1U);
}

TEST(Place, ComesBeforeAWarmTrainerComputes) {
  Scenario s(sharing());
  s.start();
  enrol(s);
  const Effects offered = s.begin(Scenario::train(1));
  EXPECT_FALSE(has<effect::RunTask>(offered));
  EXPECT_TRUE(has<effect::SeekPlace>(offered));
  EXPECT_TRUE(has<effect::RunTask>(s.on(event::PlaceTaken{})));
}

TEST(Place, OfAPreparedTrainerServesForItsTask) {
  Scenario s(sharing());
  s.start();
  const TrainerId trainer = enrol(s);
  s.on(event::WarmPlacesFull{trainer});
  EXPECT_TRUE(has<effect::SeekPlace>(s.begin(Scenario::train(1))));
  const auto starts = all<effect::StartTrainer>(s.on(event::PlaceTaken{}));
  ASSERT_EQ(starts.size(), 1U);
  const Effects prepared = s.on(event::TrainerPrepared{starts[0].trainer});
  EXPECT_TRUE(has<effect::RunTask>(prepared));
  EXPECT_FALSE(has<effect::SeekPlace>(prepared));
  EXPECT_FALSE(has<effect::RestTrainer>(prepared));
}

TEST(Place, IsGivenBackWithTheAnswer) {
  Scenario s(sharing());
  s.start();
  const TrainerId trainer = enrol(s);
  s.begin(Scenario::train(1));
  s.on(event::PlaceTaken{});
  const auto rests = all<effect::RestTrainer>(s.on(event::TrainerFinished{trainer, 640, 20, {}}));
  ASSERT_EQ(rests.size(), 1U);
  EXPECT_EQ(rests[0].trainer, trainer);
}

TEST(Place, IsGivenBackWithARefusalToo) {
  Scenario s(sharing());
  s.start();
  const TrainerId trainer = enrol(s);
  s.begin(Scenario::train(1));
  s.on(event::PlaceTaken{});
  EXPECT_TRUE(has<effect::RestTrainer>(
      s.on(event::TrainerRefused{trainer, {{"device_busy", "", "", Scope::site}, true}})));
}

TEST(Place, ThatNobodyWantsAnyMoreIsLeft) {
  Scenario s(sharing());
  s.start();
  enrol(s);
  s.begin(Scenario::train(1));
  EXPECT_TRUE(has<effect::LeavePlace>(s.hear(msg::JobClosed{JobId::literal("lung-1"), "aborted"})));
  EXPECT_TRUE(has<effect::LeavePlace>(s.on(event::PlaceTaken{}))) << "it was under way already";
}

TEST(Place, IsNotSoughtWhileTheSiteIsPaused) {
  Scenario s(sharing());
  s.start();
  enrol(s);
  s.begin(Scenario::train(1));
  EXPECT_TRUE(has<effect::LeavePlace>(s.on(event::Paused{{"ann", "", 0}})));
  EXPECT_FALSE(has<effect::RunTask>(s.on(event::PlaceTaken{})));
}

TEST(Place, OfEachSlotIsAskedForAfterTheOther) {
  Scenario s(sharing(2));
  s.start();
  enrol(s, "lung-1");
  enrol(s, "lung-2");
  s.begin(Scenario::train(1, 1, "lung-1"));
  s.begin(Scenario::train(2, 1, "lung-2"));
  const Effects first = s.on(event::PlaceTaken{});
  EXPECT_EQ(all<effect::RunTask>(first).size(), 1U);
  EXPECT_EQ(all<effect::SeekPlace>(first).size(), 1U);
  const Effects second = s.on(event::PlaceTaken{});
  EXPECT_EQ(all<effect::RunTask>(second).size(), 1U);
  EXPECT_FALSE(has<effect::SeekPlace>(second));
}

// Rule 6: to the broker it is a task that waits for a slot.
TEST(Place, ThatATaskWaitsForIsReportedSoThatItDoesNotStall) {
  Scenario s(sharing());
  s.start();
  enrol(s);
  s.begin(Scenario::train(1));
  for (int i = 0; i < 100; ++i) {
    s.advance(kWaitingReportEvery);
    EXPECT_EQ(sent<msg::TaskReport>(s.on(event::Woke{})).size(), 1U);
  }
}

TEST(WarmTrainer, ForWhichThePoolHasNoPlaceEnds) {
  Scenario s(sharing());
  s.start();
  const TrainerId trainer = enrol(s);
  const auto stops = all<effect::StopTrainer>(s.on(event::WarmPlacesFull{trainer}));
  ASSERT_EQ(stops.size(), 1U);
  EXPECT_EQ(stops[0].trainer, trainer);
}

TEST(WarmTrainer, ThatHasGotWorkInTheMeantimeGoesOn) {
  Scenario s(sharing());
  s.start();
  const TrainerId trainer = enrol(s);
  s.begin(Scenario::train(1));
  s.on(event::PlaceTaken{});
  EXPECT_FALSE(has<effect::StopTrainer>(s.on(event::WarmPlacesFull{trainer})));
}

}  // namespace
}  // namespace entente::agent
