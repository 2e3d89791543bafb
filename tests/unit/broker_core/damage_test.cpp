// A start does not go on from what was damaged: an update is asked for again, and of a model or a
// server's state nobody says that it is there.
#include "broker/core/damage.h"

#include <gmock/gmock.h>

#include <set>

#include "tests/unit/broker_core/scenario.h"

namespace entente::broker {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

// Of a job that has merged round 1 with a server's optimiser, and in round 2 holds east's update.
struct DamageAtAStart : testing::Test, RunningJob {
  DamageAtAStart() : RunningJob(adam()) {
    deliver(east, train("east"), blob(1));
    deliver(north, train("north"), blob(1));
    deliver(south, train("south"), blob(1));
    merged(id, 1, kModel, kServerState);
    deliver(east, train("east", 2), kUpdate);
  }
  static JobSpec adam() {
    auto spec = three_site_spec();
    spec.strategy.kind = "fedadam";
    return spec;
  }
  std::vector<std::string> take_back(const std::set<BlobId>& damaged) {
    snapshot = store.snapshot();
    const auto taken_back = take_back_damaged(
        snapshot, [&](const BlobId& blob) { return !damaged.contains(blob); }, now.unix_ms);
    store.write(taken_back.rows);
    std::vector<std::string> events;
    for (const auto& damage : taken_back.damages) {
      events.push_back(damage.event);
    }
    return events;
  }

  const BlobId kModel = blob(101);
  const BlobId kServerState = blob(102);
  const BlobId kUpdate = blob(2);
  Snapshot snapshot;
};

TEST_F(DamageAtAStart, OfAnUpdateOpensItsTaskAgain) {
  EXPECT_THAT(take_back({kUpdate}), ElementsAre("update_damaged"));
  restart();
  east = connect("east");
  const auto& task = job(id).tasks.at(train("east", 2));
  EXPECT_TRUE(is_open(task));
  EXPECT_FALSE(task.row.result.blob);
  EXPECT_EQ(job(id).parts.at(SiteId::literal("east")).row.updates_accepted, 1U);
  deliver(east, train("east", 2), kUpdate);
  EXPECT_EQ(job(id).tasks.at(train("east", 2)).row.state, TaskState::done);
}

TEST_F(DamageAtAStart, OfAnUpdateOpensARoundThatWasMergingAgain) {
  deliver(north, train("north", 2), blob(3));
  deliver(south, train("south", 2), blob(4));
  ASSERT_EQ(job(id).rounds.at(2).state, RoundState::merging);
  EXPECT_THAT(take_back({kUpdate}), ElementsAre("update_damaged"));
  EXPECT_TRUE(all<StartMerge>(restart()).empty());
  EXPECT_EQ(job(id).rounds.at(2).state, RoundState::training);
  EXPECT_EQ(job(id).rounds.at(2).updates, 0U);
}

TEST_F(DamageAtAStart, OfAModelOrAServersStateIsSaid) {
  EXPECT_THAT(take_back({kModel}), ElementsAre("model_damaged"));
  EXPECT_THAT(take_back({kServerState}), ElementsAre("state_damaged"));
}

TEST_F(DamageAtAStart, OfWhatNoRunningJobGoesOnFromDoesNotMatter) {
  EXPECT_THAT(take_back({blob(1)}), IsEmpty()) << "merged in round 1";
  ask(alice, msg::AbortJob{id, ""});
  EXPECT_THAT(take_back({kUpdate, kModel, kServerState}), IsEmpty());
}

}  // namespace
}  // namespace entente::broker
