// A broker that ends at any moment goes on where it was: the same merges of the same updates in the
// same order, nothing counted twice, no event shown twice.
#include <gtest/gtest-spi.h>

#include "tests/unit/broker_core/committed.h"
#include "tests/unit/broker_core/scenario.h"
#include "tests/unit/broker_core/world.h"

namespace entente::broker {
namespace {

void expect_every_update_counted_once(const World& world) {
  for (const auto* site : {"east", "north", "south"}) {
    EXPECT_EQ(world.store().part(World::kJob, SiteId::literal(site))->updates_accepted,
              World::spec().rounds);
  }
  ASSERT_EQ(world.store().models().size(), World::spec().rounds + 1);
  for (const auto& model : world.store().models()) {
    EXPECT_EQ(model.contributions.size(), model.version == 0 ? 0U : 3U);
  }
}

void expect_every_event_seen_once(const World& world) {
  std::vector<std::uint64_t> all;
  for (const auto& event : world.store().events(World::kJob)) {
    all.push_back(event.seq);
  }
  EXPECT_EQ(world.seen(), all);
}

TEST(Restart, AtAnyStepLeadsToTheSameMerges) {
  World undisturbed(1);
  undisturbed.run();
  ASSERT_EQ(undisturbed.merges().size(), World::spec().rounds);
  for (const auto crash : {Crash::before_speaking, Crash::after_speaking}) {
    for (std::size_t step = 1; step <= undisturbed.steps(); ++step) {
      SCOPED_TRACE(testing::Message() << "crash " << static_cast<int>(crash) << " at " << step);
      World world(1);
      world.run(step, crash);
      EXPECT_EQ(world.merges(), undisturbed.merges());
      EXPECT_EQ(world.store().models().back().blob, undisturbed.store().models().back().blob);
      expect_every_update_counted_once(world);
      expect_every_event_seen_once(world);
      if (testing::Test::HasFailure()) {
        return;
      }
    }
  }
}

TEST(Restart, AndTheOrderOfArrivalChangeNoMerge) {
  World one(1);
  one.run();
  for (std::uint64_t seed = 2; seed < 200; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    World world(seed);
    world.run(seed % 70, seed % 2 == 0 ? Crash::before_speaking : Crash::after_speaking);
    EXPECT_EQ(world.merges(), one.merges());
    expect_every_update_counted_once(world);
    expect_every_event_seen_once(world);
    if (testing::Test::HasFailure()) {
      return;
    }
  }
}

TEST(Restart, GivesEverySiteAFullStallWindow) {
  RunningJob it;
  it.deliver(it.east, it.train("east"), blob(1));
  it.deliver(it.north, it.train("north"), blob(2));
  it.wait(small_spec().stall_window - Millis(1));
  it.restart();
  EXPECT_TRUE(all<StartMerge>(it.wait(small_spec().stall_window - Millis(1))).empty());
  EXPECT_EQ(all<StartMerge>(it.wait(Millis(1))).size(), 1U);
}

TEST(Restart, StartsAMergeThatWasUnderWayAgain) {
  RunningJob it;
  it.deliver(it.east, it.train("east"), blob(1));
  it.deliver(it.north, it.train("north"), blob(2));
  it.deliver(it.south, it.train("south"), blob(3));
  const auto merges = all<StartMerge>(it.restart());
  ASSERT_EQ(merges.size(), 1U);
  EXPECT_EQ(merges[0].updates.size(), 3U);
  it.merged(it.id, 1, blob(101));
  EXPECT_TRUE(all<StartMerge>(it.restart()).empty());
}

TEST(Restart, LeavesEndedJobsAlone) {
  RunningJob it;
  it.ask(it.alice, msg::AbortJob{it.id, ""});
  const auto effects = it.restart();
  EXPECT_TRUE(effects.actions.empty());
  EXPECT_TRUE(effects.rows.empty());
  EXPECT_FALSE(it.core.next_wakeup());
}

TEST(CommitThenSpeak, AnActionAheadOfItsRowIsFound) {
  static const MemoryStore kEmpty;
  static const Action kVerdict =
      Send{1, msg::ResultVerdict{key(World::kJob, 1, TaskKind::train, "north"), std::nullopt}};
  EXPECT_FATAL_FAILURE(expect_committed(kEmpty, kVerdict), "nullptr");
  static const Action kGrant = GrantGet{"site/north", blob(1)};
  EXPECT_NONFATAL_FAILURE(expect_committed(kEmpty, kGrant), "a grant for what has no row");
}

}  // namespace
}  // namespace entente::broker
