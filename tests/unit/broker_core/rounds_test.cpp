// Rounds: from the initial model to the last merge.
#include <gmock/gmock.h>

#include <limits>

#include "common/base/limits.h"
#include "tests/unit/broker_core/scenario.h"

namespace entente::broker {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::vector<std::string> sites_of(const StartMerge& merge) {
  std::vector<std::string> sites;
  for (const auto& input : merge.updates) {
    sites.push_back(input.site.str());
  }
  return sites;
}

RoundState round_state(const Scenario& it, const JobId& id, Round round) {
  return it.store.round(id, round)->state;
}

TEST(Rounds, GoFromTheFirstOfferToTheLastModel) {
  Scenario it;
  const auto north = it.connect("north");
  auto spec = small_spec(2);
  spec.evaluate = EvaluateSpec{"scans", 1};
  const auto id = it.submit(spec);
  const auto initialize = key(id, 0, TaskKind::initialize, "north");
  EXPECT_EQ(sent<msg::TaskOffer>(it.accept(north, id), north).at(0).order.key, initialize);

  auto effects = it.deliver(north, initialize, blob(100));
  for (Round round = 1; round <= 2; ++round) {
    const auto train = key(id, round, TaskKind::train, "north");
    const auto offers = sent<msg::TaskOffer>(effects, north);
    ASSERT_FALSE(offers.empty());
    EXPECT_EQ(offers.back().order.key, train);
    EXPECT_EQ(offers.back().order.model, blob(static_cast<std::uint8_t>(99 + round)));
    effects = it.deliver(north, train, blob(static_cast<std::uint8_t>(round)));
    const auto merges = all<StartMerge>(effects);
    ASSERT_EQ(merges.size(), 1U);
    EXPECT_EQ(merges[0].round, round);
    EXPECT_EQ(merges[0].strategy.kind, "fedavg");
    EXPECT_EQ(merges[0].layout->elements(), 10U);
    effects = it.merged(id, round, blob(static_cast<std::uint8_t>(100 + round)));
    EXPECT_EQ(sent<msg::TaskOffer>(effects, north).at(0).order.key.kind, TaskKind::evaluate);
  }
  EXPECT_EQ(it.state(id), JobState::running) << "two evaluations are open";
  it.announce(north, key(id, 1, TaskKind::evaluate, "north"), std::nullopt);
  it.announce(north, key(id, 2, TaskKind::evaluate, "north"), std::nullopt);
  EXPECT_EQ(it.state(id), JobState::completed);
  EXPECT_EQ(it.store.round(id, 2)->evaluate_metrics.at("loss"), 0.5);
  EXPECT_EQ(it.store.models().size(), 3U);
  EXPECT_EQ(it.store.models()[2].parent, blob(101));
  EXPECT_EQ(it.store.models()[2].strategy, "fedavg");
  EXPECT_EQ(it.store.events(id).back().kind, JobEventKind::completed);
}

TEST(Rounds, TheReceiptNamesEveryUpdateAndItsShare) {
  RunningJob it;
  it.deliver(it.east, it.train("east"), blob(1), 100);
  it.deliver(it.south, it.train("south"), blob(3), 300);
  it.deliver(it.north, it.train("north"), blob(2), 100);
  it.merged(it.id, 1, blob(101));
  const auto& model = it.store.models().back();
  ASSERT_EQ(model.contributions.size(), 3U);
  EXPECT_EQ(model.contributions[0], (Contribution{SiteId::literal("east"), blob(1), 100, 0.2, 10}));
  EXPECT_EQ(model.contributions[1],
            (Contribution{SiteId::literal("north"), blob(2), 100, 0.2, 10}));
  EXPECT_EQ(model.contributions[2],
            (Contribution{SiteId::literal("south"), blob(3), 300, 0.6, 10}));
  EXPECT_EQ(model.parent, blob(100));
}

TEST(Rounds, MergeInputsAreOrderedBySiteWhateverTheArrival) {
  RunningJob it;
  it.deliver(it.south, it.train("south"), blob(3), 30);
  it.deliver(it.east, it.train("east"), blob(1), 10);
  const auto merges = all<StartMerge>(it.deliver(it.north, it.train("north"), blob(2), 20));
  ASSERT_EQ(merges.size(), 1U);
  EXPECT_THAT(sites_of(merges[0]), ElementsAre("east", "north", "south"));
  EXPECT_EQ(merges[0].updates[1].weight, 20);
  EXPECT_EQ(merges[0].model, blob(100));
}

TEST(Rounds, MergedUpdatesAreDropped) {
  RunningJob it;
  it.deliver(it.east, it.train("east"), blob(1));
  it.deliver(it.north, it.train("north"), blob(2));
  EXPECT_TRUE(all<DropBlob>(it.deliver(it.south, it.train("south"), blob(3))).empty());
  EXPECT_EQ(all<DropBlob>(it.merged(it.id, 1, blob(101))).size(), 3U);
}

// As those of sites that have nothing to change: one blob, which two tasks name.
TEST(Rounds, EqualUpdatesAreDroppedOnceWhenTheirRoundIsMerged) {
  RunningJob it;
  it.deliver(it.east, it.train("east"), blob(1));
  it.deliver(it.north, it.train("north"), blob(1));
  it.deliver(it.south, it.train("south"), blob(1));
  const auto dropped = all<DropBlob>(it.merged(it.id, 1, blob(101)));
  ASSERT_EQ(dropped.size(), 1U);
  EXPECT_EQ(dropped[0].blob, blob(1));
  EXPECT_NE(it.state(it.id), JobState::completed) << "its end would drop them anyway";
}

TEST(Rounds, AnUpdateThatIsAlsoAModelIsKept) {
  RunningJob it;
  it.deliver(it.east, it.train("east"), blob(100));  // the same bytes as the initial model
  it.deliver(it.north, it.train("north"), blob(2));
  it.deliver(it.south, it.train("south"), blob(3));
  for (const auto& drop : all<DropBlob>(it.merged(it.id, 1, blob(101)))) {
    EXPECT_NE(drop.blob, blob(100));
  }
}

TEST(Rounds, AnUpdateThatAnotherJobStillNeedsIsKept) {
  RunningJob it;
  const auto other = it.submit(RunningJob::three_site_spec());
  for (const auto site : {it.east, it.north, it.south}) {
    it.accept(site, other);
  }
  it.deliver(it.east, key(other, 0, TaskKind::initialize, "east"), blob(100));
  it.deliver(it.east, key(other, 1, TaskKind::train, "east"), blob(1));
  it.deliver(it.east, it.train("east"), blob(1));
  it.deliver(it.north, it.train("north"), blob(2));
  it.deliver(it.south, it.train("south"), blob(3));
  const auto dropped = all<DropBlob>(it.merged(it.id, 1, blob(101)));
  EXPECT_EQ(dropped.size(), 2U);
}

TEST(Rounds, CloseOnQuorumWhenTheRestStall) {
  RunningJob it;
  it.deliver(it.east, it.train("east"), blob(1));
  it.deliver(it.north, it.train("north"), blob(2));
  EXPECT_TRUE(all<StartMerge>(it.wait(small_spec().stall_window - Millis(1))).empty());
  ASSERT_TRUE(it.core.next_wakeup());
  EXPECT_EQ(*it.core.next_wakeup(), it.now.monotonic + Millis(1));
  const auto merges = all<StartMerge>(it.wait(Millis(1)));
  ASSERT_EQ(merges.size(), 1U);
  EXPECT_THAT(sites_of(merges[0]), ElementsAre("east", "north"));
  EXPECT_EQ(it.store.task(it.train("south"))->state, TaskState::lost);
}

TEST(Rounds, CloseAtOnceWhenTheQuorumComesAfterTheRestHaveStalled) {
  RunningJob it;
  it.deliver(it.east, it.train("east"), blob(1));
  it.hear(it.north, msg::TaskReport{it.train("north"), {1, 10, "examples"}});
  it.wait(small_spec().stall_window - Millis(1));
  it.hear(it.north, msg::TaskReport{it.train("north"), {2, 10, "examples"}});
  it.wait(Millis(1));
  EXPECT_EQ(all<StartMerge>(it.deliver(it.north, it.train("north"), blob(2))).size(), 1U);
}

TEST(Rounds, WaitForASiteThatMakesProgress) {
  RunningJob it;
  it.deliver(it.east, it.train("east"), blob(1));
  it.deliver(it.north, it.train("north"), blob(2));
  for (int i = 0; i < 5; ++i) {
    EXPECT_TRUE(all<StartMerge>(it.wait(small_spec().stall_window - Millis(1))).empty());
    it.hear(it.south, msg::TaskReport{it.train("south"), {1, 10, "examples"}});
  }
  it.announce(it.south, it.train("south"), blob(3));
  it.wait(small_spec().stall_window - Millis(1));
  it.on(TransferMoved{"site/south", blob(3), 50, 200});
  EXPECT_TRUE(all<StartMerge>(it.wait(small_spec().stall_window - Millis(1))).empty());
  EXPECT_EQ(all<StartMerge>(it.arrive(it.train("south"), blob(3))).size(), 1U);
}

TEST(Rounds, WaitTwoHoursForASiteThatTrainsAndOneStallWindowForItsSilence) {
  auto spec = RunningJob::three_site_spec();
  spec.stall_window = limits::kStallWindowDefault;
  spec.deadline = limits::kDeadlineDefault;
  RunningJob it(spec);
  it.deliver(it.east, it.train("east"), blob(1));
  it.deliver(it.north, it.train("north"), blob(2));
  for (std::uint64_t minute = 1; minute <= 120; ++minute) {
    EXPECT_TRUE(all<StartMerge>(it.wait(std::chrono::minutes(1))).empty());
    it.hear(it.south, msg::TaskReport{it.train("south"), {minute, 240, "minutes"}});
  }
  EXPECT_TRUE(all<StartMerge>(it.wait(spec.stall_window - Millis(1))).empty());
  EXPECT_EQ(all<StartMerge>(it.wait(Millis(1))).size(), 1U) << "it is not waited for any longer";
  EXPECT_EQ(it.store.task(it.train("south"))->state, TaskState::lost);
}

TEST(Rounds, BelowQuorumNeverCloseAndTheDeadlineFails) {
  RunningJob it;
  it.deliver(it.east, it.train("east"), blob(1));
  it.wait(small_spec().stall_window);
  EXPECT_EQ(round_state(it, it.id, 1), RoundState::training);
  EXPECT_THAT(it.store.events(it.id).back().text, HasSubstr("its quorum is 2"));
  const auto told = it.store.events(it.id).size();
  it.wait(small_spec().stall_window);
  EXPECT_EQ(it.store.events(it.id).size(), told) << "said once";
  it.wait(small_spec().deadline);
  EXPECT_EQ(it.state(it.id), JobState::failed);
  EXPECT_TRUE(it.store.models().size() == 1) << "only the initial model";
}

TEST(Rounds, ASiteComingBackAfterItsStallIsStillTakenBelowQuorum) {
  RunningJob it;
  it.deliver(it.east, it.train("east"), blob(1));
  it.wait(3 * small_spec().stall_window);
  it.deliver(it.south, it.train("south"), blob(3));
  EXPECT_EQ(round_state(it, it.id, 1), RoundState::merging);
}

TEST(Rounds, FailAtOnceWhenTheQuorumIsOutOfReach) {
  RunningJob it;
  const msg::TaskFailed failed{it.train("east"), {{"labels_invalid", "label 7 of 2", "", {}}}};
  it.hear(it.east, failed);
  EXPECT_EQ(it.state(it.id), JobState::running);
  it.hear(it.north, msg::TaskFailed{it.train("north"), failed.failure});
  EXPECT_EQ(it.state(it.id), JobState::failed);
  EXPECT_THAT(it.store.job(it.id)->reason, HasSubstr("has 0 of the 2 updates it needs"));
  EXPECT_THAT(it.store.job(it.id)->reason, HasSubstr("east: label 7 of 2"));
}

TEST(Rounds, ASiteThatFailedIsAskedAgainInTheNextRound) {
  RunningJob it;
  it.hear(it.east, msg::TaskFailed{it.train("east"), {{"broken", "no", "", {}}, false}});
  it.deliver(it.north, it.train("north"), blob(2));
  it.deliver(it.south, it.train("south"), blob(3));
  const auto offers = sent<msg::TaskOffer>(it.merged(it.id, 1, blob(101)), it.east);
  ASSERT_EQ(offers.size(), 1U);
  EXPECT_EQ(offers[0].order.key, it.train("east", 2));
}

TEST(Rounds, TheInitialModelMovesOnFromASiteThatStalls) {
  Scenario it;
  const auto east = it.connect("east");
  const auto north = it.connect("north");
  const auto id = it.submit(small_spec());
  it.accept(east, id);
  const auto first = sent<msg::TaskOffer>(it.accept(north, id), east);
  ASSERT_EQ(first.size(), 1U);
  const auto second = sent<msg::TaskOffer>(it.wait(small_spec().stall_window), north);
  ASSERT_EQ(second.size(), 1U);
  EXPECT_EQ(second[0].order.key.kind, TaskKind::initialize);
  EXPECT_EQ(second[0].order.seed, first[0].order.seed) << "the model must not depend on the site";
  it.hear(north, msg::TaskFailed{second[0].order.key, {{"broken", "no torch", "", {}}, false}});
  EXPECT_EQ(it.state(id), JobState::running) << "east may come back";
  const auto third = sent<msg::TaskOffer>(it.accept(east, id), east);
  EXPECT_TRUE(third.empty()) << "a repeated promise says nothing about what the site does";
  it.on(SessionClosed{east});
  const auto back = it.open(Role::site, "east");
  it.hello(back);
  const auto again = sent<msg::TaskOffer>(it.hear(back, msg::Advert{advert()}), back);
  ASSERT_EQ(again.size(), 1U);
  EXPECT_EQ(again[0].order.key.attempt, 2U);
  it.hear(back, msg::TaskFailed{again[0].order.key, {{"broken", "no disk", "", {}}, false}});
  EXPECT_EQ(it.state(id), JobState::failed);
  EXPECT_THAT(it.store.job(id)->reason, HasSubstr("no site could make the initial model"));
  EXPECT_THAT(it.store.job(id)->reason, HasSubstr("north: no torch"));
}

TEST(Rounds, SeedsDifferBySiteAndRound) {
  RunningJob it;
  const auto again = it.restart();
  const auto north = it.open(Role::site, "north");
  it.hello(north);
  const auto first = sent<msg::TaskOffer>(it.hear(north, msg::Advert{advert()}), north);
  const auto south = it.open(Role::site, "south");
  it.hello(south);
  const auto second = sent<msg::TaskOffer>(it.hear(south, msg::Advert{advert()}), south);
  EXPECT_NE(first.at(0).order.seed, second.at(0).order.seed);
}

TEST(Rounds, AFailedMergeFailsTheJob) {
  RunningJob it;
  it.deliver(it.east, it.train("east"), blob(1));
  it.deliver(it.north, it.train("north"), blob(2));
  it.deliver(it.south, it.train("south"), blob(3));
  it.on(MergeFinished{it.id, 1, refuse("merge_failed", "an update is gone")});
  EXPECT_EQ(it.state(it.id), JobState::failed);
  EXPECT_THAT(it.store.job(it.id)->reason, HasSubstr("could not be merged: an update is gone"));
}

TEST(Rounds, AMergeThatNobodyWaitsForIsIgnored) {
  RunningJob it;
  it.merged(it.id, 1, blob(101));
  it.merged(it.id, 2, blob(102));
  it.merged(JobId::literal("skin-1"), 1, blob(101));
  EXPECT_EQ(it.store.models().size(), 1U);
  EXPECT_EQ(round_state(it, it.id, 1), RoundState::training);
}

TEST(Rounds, MeansAreWeightedByExamplesAndStayFinite) {
  RunningJob it;
  const auto deliver = [&](SessionId session, const std::string& site, std::uint8_t update,
                           std::uint64_t examples, Metrics metrics) {
    it.hear(session, msg::ResultAnnounce{it.train(site),
                                         {blob(update), 200, examples, 1, std::move(metrics)}});
    return it.arrive(it.train(site), blob(update));
  };
  const double huge = std::numeric_limits<double>::max();
  deliver(it.east, "east", 1, 100, {{"loss", 1.0}, {"huge", huge}, {"odd", 1.0}});
  deliver(it.north, "north", 2, 300, {{"loss", 2.0}, {"huge", huge}});
  deliver(it.south, "south", 3, 400, {{"loss", 3.0}, {"huge", huge}});
  const auto& metrics = it.store.round(it.id, 1)->train_metrics;
  EXPECT_DOUBLE_EQ(metrics.at("loss"), (100 * 1.0 + 300 * 2.0 + 400 * 3.0) / 800);
  EXPECT_FALSE(metrics.contains("odd")) << "only one site has it";
  for (const auto& [name, value] : metrics) {
    EXPECT_TRUE(std::isfinite(value)) << name << " could not be stored";
  }
}

}  // namespace
}  // namespace entente::broker
