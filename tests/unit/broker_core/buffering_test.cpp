// Jobs that train asynchronously.
#include "broker/core/buffering.h"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include <cmath>
#include <random>
#include <set>

#include "broker/core/damage.h"
#include "broker/core/kinds.h"
#include "common/domain/seeds.h"
#include "tests/unit/broker_core/scenario.h"

namespace entente::broker {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const TaskFailure kForGood{{"broken", "no disk", "", {}}, false};
const TaskFailure kPassing{{"busy", "device busy", "", {}}, true};
const Millis kWindow = small_spec().stall_window;

JobSpec async_spec(AsyncSpec async, std::uint32_t quorum = 0) {
  auto spec = RunningJob::three_site_spec();
  spec.rounds = 6;
  spec.seed = 1;
  spec.sites.quorum = quorum;
  spec.async = async;
  return spec;
}

AsyncSpec buffer_of_size(std::uint32_t buffer) { return AsyncSpec{.buffer = buffer}; }

struct Async : RunningJob {
  explicit Async(JobSpec spec = async_spec(buffer_of_size(2))) : RunningJob(std::move(spec)) {}

  SessionId session_of(const std::string& site) const {
    return site == "east" ? east : site == "north" ? north : south;
  }
  // The task that the site has, which there must be.
  TaskKey open(const std::string& site) const {
    const auto* task = buffered_task_of(job(id), SiteId::literal(site));
    EXPECT_TRUE(task != nullptr && is_open(*task)) << site << " has no task";
    return task == nullptr ? TaskKey() : task->row.key;
  }
  bool has_task(const std::string& site) const {
    const auto* task = buffered_task_of(job(id), SiteId::literal(site));
    return task != nullptr && is_open(*task);
  }
  Effects answer_from(const std::string& site, std::uint64_t examples = 100) {
    const auto key = open(site);
    return deliver(session_of(site), key, blob(++last_blob), examples);
  }
  Effects merge_round(Round round) {
    return merged(id, round, blob(static_cast<std::uint8_t>(100 + round)));
  }
  // East alone sends what `rounds` rounds take.
  void run_ahead(Round from, Round to) {
    for (auto round = from; round <= to; ++round) {
      for (std::uint32_t i = 0; i < job(id).spec().async->buffer; ++i) {
        answer_from("east");
      }
      merge_round(round);
    }
  }
  const RoundRow& round(Round number) const { return *store.round(id, number); }
  std::string last_words(JobEventKind kind) const {
    std::string text;
    for (const auto& event : store.events(id)) {
      text = event.kind == kind ? event.text : text;
    }
    return text;
  }

  std::uint8_t last_blob = 0;
};

TEST(Buffering, AVersionIsMadeOfTheFirstUpdatesAndNobodyElseIsDisturbed) {
  Async it;
  it.answer_from("south");
  EXPECT_EQ(it.round(1).state, RoundState::training);
  const auto effects = it.answer_from("east");
  const auto merges = all<StartMerge>(effects);
  ASSERT_EQ(merges.size(), 1U);
  EXPECT_EQ(merges[0].round, 1U);
  ASSERT_EQ(merges[0].updates.size(), 2U);
  EXPECT_EQ(merges[0].updates[0].site.str(), "east");
  EXPECT_EQ(merges[0].updates[1].site.str(), "south");
  EXPECT_EQ(it.round(1).updates, 2U);
  EXPECT_THAT(sent<msg::ResultVerdict>(effects, it.north), IsEmpty());
  EXPECT_EQ(it.open("north"), it.train("north"));
}

TEST(Buffering, ASiteThatHasAnsweredGetsTheNextTaskAtOnceWithAnotherSeed) {
  Async it;
  const auto seed = task_seed(1, 1, "east");
  const auto effects = it.answer_from("east");
  const auto offers = sent<msg::TaskOffer>(effects, it.east);
  ASSERT_EQ(offers.size(), 1U);
  EXPECT_EQ(offers[0].order.key, it.train("east", 1, 2));
  EXPECT_EQ(offers[0].order.model, blob(100));
  EXPECT_EQ(offers[0].order.seed, repeated_seed(seed, 1));
  EXPECT_NE(offers[0].order.seed, seed);
  // A failed attempt shifts no seed.
  const auto again = it.hear(it.east, msg::TaskFailed{it.open("east"), kPassing});
  ASSERT_EQ(sent<msg::TaskOffer>(again, it.east).size(), 1U);
  EXPECT_EQ(sent<msg::TaskOffer>(again, it.east)[0].order.key, it.train("east", 1, 3));
  EXPECT_EQ(sent<msg::TaskOffer>(again, it.east)[0].order.seed, repeated_seed(seed, 1));
}

TEST(Buffering, WhileAVersionIsMergedASiteThatHasAnsweredWaitsForIt) {
  Async it;
  it.answer_from("south");
  it.answer_from("east");
  EXPECT_FALSE(it.has_task("east"));
  const auto view = std::get<JobView>(it.answer(it.alice, msg::ShowJob{it.id}));
  EXPECT_TRUE(view.sites[0].sits_out);
  const auto explained = std::get<Explanation>(it.answer(it.alice, msg::ExplainJob{it.id}));
  EXPECT_THAT(explained.sites[0].sentences,
              ElementsAre("it waits for version 1, which is being merged"));
  const auto offers = sent<msg::TaskOffer>(it.merge_round(1), it.east);
  ASSERT_EQ(offers.size(), 1U);
  EXPECT_EQ(offers[0].order.key, it.train("east", 2));
  EXPECT_EQ(offers[0].order.model, blob(101));
}

TEST(Buffering, ALateUpdateIsMergedIntoTheNewestVersionWithItsFactorAndTheReceiptSaysSo) {
  Async it;
  it.run_ahead(1, 2);
  it.answer_from("south", 300);
  const auto effects = it.answer_from("east", 100);
  const auto merge = all<StartMerge>(effects).at(0);
  EXPECT_EQ(merge.round, 3U);
  ASSERT_EQ(merge.updates.size(), 2U);
  EXPECT_EQ(merge.updates[0].factor, 1);
  EXPECT_DOUBLE_EQ(merge.updates[1].factor, 1 / std::sqrt(3.0));
  EXPECT_EQ(merge.updates[1].weight, 300);
  EXPECT_EQ(it.last_words(JobEventKind::update_accepted),
            "east sent update 2 of 2 for round 3: 100 examples");
  it.merge_round(3);
  const auto& receipt = it.store.models().back();
  ASSERT_EQ(receipt.contributions.size(), 2U);
  EXPECT_EQ(receipt.contributions[0].started_from, 2U);
  EXPECT_EQ(receipt.contributions[1].started_from, 0U);
  EXPECT_DOUBLE_EQ(receipt.contributions[1].weight, 0.75) << "its share, whatever its staleness";
  const auto* row = it.store.task(it.train("south"));
  EXPECT_EQ(row->merged_in, 3U);
  EXPECT_EQ(row->accepted_seq, 5U);
}

TEST(Buffering, AnUpdateThatArrivesWhileItsRoundMergesGoesIntoTheNext) {
  Async it;
  it.answer_from("south");
  it.answer_from("east");
  it.answer_from("north");
  EXPECT_EQ(it.store.task(it.train("north"))->merged_in, 2U);
  EXPECT_THAT(it.last_words(JobEventKind::update_accepted),
              HasSubstr("north sent update 1 of 2 for round 2, 1 version late"));
  it.merge_round(1);
  const auto merges = all<StartMerge>(it.answer_from("east"));
  ASSERT_EQ(merges.size(), 1U);
  EXPECT_EQ(merges[0].updates.size(), 2U);
}

TEST(Buffering, SeveralUpdatesOfASiteGoIntoOneVersionInTheOrderOfItsTasks) {
  Async it(async_spec(buffer_of_size(3)));
  it.answer_from("east");
  it.answer_from("east");
  const auto merge = all<StartMerge>(it.answer_from("east")).at(0);
  ASSERT_EQ(merge.updates.size(), 3U);
  EXPECT_EQ(merge.updates[0].update, blob(1));
  EXPECT_EQ(merge.updates[1].update, blob(2));
  EXPECT_EQ(merge.updates[2].update, blob(3));
}

TEST(Buffering, AVersionNeedsUpdatesOfItsQuorumAndThoseItHasEnoughOfWait) {
  Async it(async_spec(buffer_of_size(2), 2));
  it.answer_from("east");
  it.answer_from("east");
  EXPECT_EQ(it.round(1).state, RoundState::training);
  EXPECT_FALSE(it.has_task("east"));
  const auto explained = std::get<Explanation>(it.answer(it.alice, msg::ExplainJob{it.id}));
  EXPECT_THAT(
      explained.sites[0].sentences,
      ElementsAre("round 1 has its updates and waits for other sites' (sites.quorum is 2)"));
  EXPECT_THAT(explained.sentence, HasSubstr("round 1 has 2 of 2 updates"));
  const auto merge = all<StartMerge>(it.answer_from("north")).at(0);
  EXPECT_EQ(merge.updates.size(), 3U);
}

TEST(Buffering, ATaskPromisesTheSitesOfItsQuorum) {
  Async it(async_spec(buffer_of_size(3), 2));
  const auto offers = sent<msg::TaskOffer>(it.answer_from("east"), it.east);
  ASSERT_EQ(offers.size(), 1U);
  EXPECT_EQ(offers[0].order.cohort, 2U);
}

TEST(Buffering, WhoLagsTooFarIsGivenUpWhenTheRoundOpensAndBeginsAnew) {
  Async it(async_spec({.buffer = 1, .staleness_max = 2}));
  it.run_ahead(1, 2);
  EXPECT_EQ(it.open("south"), it.train("south")) << "2 late at most: that may still be";
  it.answer_from("east");
  const auto effects = it.merge_round(3);
  const auto verdicts = sent<msg::ResultVerdict>(effects, it.south);
  ASSERT_EQ(verdicts.size(), 1U);
  EXPECT_EQ(verdicts[0].key, it.train("south"));
  EXPECT_EQ(verdicts[0].refusal->code, "stale");
  EXPECT_EQ(it.open("south"), it.train("south", 4));
  EXPECT_EQ(it.last_words(JobEventKind::task_lost),
            "south, training round 1: given up, the model is 3 versions further and "
            "async.staleness_max is 2");
  EXPECT_FALSE(it.store.part(it.id, SiteId::literal("south"))->silent);
  const auto late = it.announce(it.south, it.train("south"), blob(77));
  EXPECT_EQ(sent<msg::ResultVerdict>(late, it.south).at(0).refusal->code, "stale");
}

TEST(Buffering, AnUpdateThatArrivesTooLateIsRefusedAsStale) {
  Async it(async_spec({.buffer = 1, .staleness_max = 1}));
  it.run_ahead(1, 1);
  it.announce(it.south, it.train("south"), blob(90));
  it.answer_from("east");  // round 2 merges: what comes now is for round 3
  const auto effects = it.on(UpdateArrived{"site/south", blob(90), 1.0});
  EXPECT_THAT(sent<msg::ResultVerdict>(effects, it.south).at(0).refusal->message,
              HasSubstr("too late, the model is 2 versions further"));
  EXPECT_EQ(all<DropBlob>(effects).at(0).blob, blob(90));
  EXPECT_EQ(it.store.task(it.train("south"))->state, TaskState::lost);
  it.merge_round(2);
  EXPECT_EQ(it.open("south"), it.train("south", 3));
}

TEST(Buffering, AnUpdateThatIsTooLateAlreadyNeedNotBeSent) {
  Async it(async_spec({.buffer = 1, .staleness_max = 1}));
  it.run_ahead(1, 1);
  it.answer_from("east");
  const auto effects = it.announce(it.south, it.train("south"), blob(90));
  EXPECT_THAT(all<GrantPut>(effects), IsEmpty());
  EXPECT_THAT(sent<msg::ResultVerdict>(effects, it.south).at(0).refusal->message,
              HasSubstr("too late, the model is 2 versions further"));
}

TEST(Buffering, AtMostSoManySitesTrainAtOnceAndWhoHasWaitedLongestGoesNext) {
  Async it(async_spec({.buffer = 4, .concurrency = 1}));
  EXPECT_TRUE(it.has_task("east"));
  EXPECT_FALSE(it.has_task("north"));
  const auto explained = std::get<Explanation>(it.answer(it.alice, msg::ExplainJob{it.id}));
  EXPECT_THAT(
      explained.sites[1].sentences,
      ElementsAre("its turn comes when another site has answered (async.concurrency is 1)"));
  for (const auto* next : {"east", "north", "south", "east"}) {
    it.answer_from(next);
  }
  it.merge_round(1);
  for (const auto* next : {"north", "south", "east", "north"}) {
    it.answer_from(next);
  }
  EXPECT_EQ(it.round(2).state, RoundState::merging);
}

TEST(Buffering, ARoundClosesWithFewerWhenAllOthersStall) {
  Async it(async_spec(buffer_of_size(4)));
  it.answer_from("east");
  const auto effects = it.wait(kWindow);
  const auto merges = all<StartMerge>(effects);
  ASSERT_EQ(merges.size(), 1U);
  EXPECT_EQ(merges[0].updates.size(), 1U);
}

TEST(Buffering, BelowItsQuorumARoundWaitsForWhoStalls) {
  Async it(async_spec(buffer_of_size(2), 2));
  it.answer_from("east");
  it.wait(kWindow);
  EXPECT_EQ(it.round(1).state, RoundState::training);
  EXPECT_EQ(it.state(it.id), JobState::running);
  EXPECT_EQ(all<StartMerge>(it.answer_from("south")).size(), 1U);
}

TEST(Buffering, AStalledTaskOfASiteThatIsAwayStaysOpenAndCountsWhenItComes) {
  Async it(async_spec(buffer_of_size(1)));
  it.on(SessionClosed{it.south});
  it.wait(kWindow);
  it.run_ahead(1, 2);
  it.south = it.connect("south");
  EXPECT_EQ(it.open("south"), it.train("south"));
  EXPECT_EQ(all<StartMerge>(it.answer_from("south")).at(0).updates.at(0).site.str(), "south");
}

TEST(Buffering, ATaskThatHangsAtAConnectedSiteIsReplacedWhenTheNextRoundOpens) {
  Async it(async_spec(buffer_of_size(1)));
  it.wait(kWindow - Millis(1000));
  it.hear(it.east, msg::TaskReport{it.open("east"), {1, 2, "examples"}});
  it.wait(Millis(2000));
  it.answer_from("east");
  it.merge_round(1);
  EXPECT_EQ(it.store.task(it.train("south"))->state, TaskState::lost);
  EXPECT_EQ(it.open("south"), it.train("south", 2));
  EXPECT_TRUE(it.store.part(it.id, SiteId::literal("south"))->silent);
}

// Its people have stopped it: to the broker it is away, and what it has finished comes later.
TEST(Buffering, AStalledTaskOfASiteThatIsPausedStaysOpen) {
  Async it(async_spec(buffer_of_size(1)));
  auto paused = advert();
  paused.paused = true;
  it.hear(it.south, msg::Advert{paused});
  it.wait(kWindow - Millis(1000));
  it.hear(it.east, msg::TaskReport{it.open("east"), {1, 2, "examples"}});
  it.wait(Millis(2000));
  it.answer_from("east");
  it.merge_round(1);
  EXPECT_EQ(it.open("south"), it.train("south"));
}

TEST(Buffering, WhoFailsForGoodIsLeftOutUntilTheNextRound) {
  auto spec = async_spec(buffer_of_size(1));
  spec.sites.replace = false;
  Async it(spec);
  it.hear(it.south, msg::TaskFailed{it.open("south"), kForGood});
  EXPECT_FALSE(it.has_task("south"));
  it.run_ahead(1, 1);
  EXPECT_EQ(it.open("south"), it.train("south", 2));
}

TEST(Buffering, AJobFailsWhenNobodyIsLeftForItsQuorum) {
  auto spec = async_spec(buffer_of_size(3), 2);
  spec.sites.replace = false;
  Async it(spec);
  it.answer_from("east");
  it.hear(it.south, msg::TaskFailed{it.open("south"), kForGood});
  it.hear(it.north, msg::TaskFailed{it.open("north"), kForGood});
  EXPECT_EQ(it.state(it.id), JobState::failed);
  EXPECT_THAT(it.job(it.id).row.reason,
              HasSubstr("round 1 has 1 of the 2 sites' updates it needs, and nobody is left"));
}

TEST(Buffering, TheLastVersionGivesUpWhatIsStillUnderWayAndEndsTheJob) {
  Async it(async_spec(buffer_of_size(1)));
  it.run_ahead(1, 5);
  const auto effects = it.answer_from("east");
  const auto verdicts = sent<msg::ResultVerdict>(effects, it.north);
  ASSERT_EQ(verdicts.size(), 1U);
  EXPECT_THAT(verdicts[0].refusal->message, HasSubstr("not needed"));
  it.merge_round(6);
  EXPECT_EQ(it.state(it.id), JobState::completed);
}

TEST(Buffering, AModelThatAnOpenTaskTrainsFromIsKept) {
  auto spec = async_spec(buffer_of_size(1));
  spec.keep = Keep::best_and_last;
  Async it(spec);
  it.run_ahead(1, 1);
  EXPECT_FALSE(it.round(0).model_removed) << "north and south still train from it";
  it.answer_from("north");
  it.merge_round(2);
  it.answer_from("south");
  it.merge_round(3);
  EXPECT_TRUE(it.round(0).model_removed);
}

TEST(Buffering, AnUpdateThatIsDamagedLeavesItsBufferAloneAndTheRoundIsOpenAgain) {
  Async it(async_spec(buffer_of_size(3)));
  it.answer_from("east");
  it.answer_from("east");
  it.answer_from("north");
  it.answer_from("south");  // into round 2
  it.on(MergeFinished{it.id, 1, refuse("update_damaged", "no"), {blob(1)}});
  EXPECT_EQ(it.round(1).state, RoundState::training);
  EXPECT_EQ(it.store.task(it.train("east"))->state, TaskState::lost);
  EXPECT_EQ(it.store.task(it.train("east", 1, 2))->state, TaskState::done);
  EXPECT_EQ(it.store.task(it.train("south"))->merged_in, 2U);
  EXPECT_TRUE(it.store.audited("update.lose", "broker"));
  // Its site is at work on another one; what was taken before still sets the seed apart.
  EXPECT_EQ(it.open("east"), it.train("east", 1, 3));
  EXPECT_EQ(taken_before(it.job(it.id), it.train("east", 1, 3)), 2U);
  EXPECT_EQ(all<StartMerge>(it.answer_from("north")).at(0).updates.size(), 3U);
}

TEST(Buffering, AnUpdateThatIsFoundDamagedAtAStartLeavesItsBuffer) {
  Async it(async_spec(buffer_of_size(2)));
  it.answer_from("east");
  it.answer_from("north");
  it.answer_from("south");  // into round 2
  auto snapshot = it.store.snapshot();
  const auto taken = take_back_damaged(
      snapshot, [](const BlobId& blob_id) { return blob_id != blob(1) && blob_id != blob(3); }, 1);
  EXPECT_EQ(taken.damages.size(), 2U);
  it.store.write(taken.rows);
  it.restart();
  it.connect("east");
  EXPECT_EQ(it.round(1).state, RoundState::training);
  EXPECT_EQ(it.store.task(it.train("east"))->state, TaskState::lost);
  EXPECT_EQ(it.store.task(it.train("south"))->state, TaskState::lost);
  EXPECT_EQ(it.open("east"), it.train("east", 1, 2));
  EXPECT_EQ(it.open("south"), it.train("south", 1, 2));
}

TEST(Buffering, ATaskWhoseOldModelIsFoundDamagedAtAStartIsTakenFromTheNewest) {
  Async it(async_spec(buffer_of_size(1)));
  it.run_ahead(1, 2);
  auto snapshot = it.store.snapshot();
  const auto taken = take_back_damaged(
      snapshot, [](const BlobId& blob_id) { return blob_id != blob(100); }, 1);
  it.store.write(taken.rows);
  it.restart();
  EXPECT_EQ(it.state(it.id), JobState::running);
  EXPECT_EQ(it.open("south"), it.train("south", 3));
}

TEST(Buffering, AJobThatIsPausedFillsBuffersAndClosesNone) {
  Async it(async_spec(buffer_of_size(2)));
  it.answer_from("south");
  it.ask(it.alice, msg::PauseJob{it.id, "lunch"});
  it.announce(it.north, it.train("north"), blob(50));
  it.arrive(it.train("north"), blob(50));
  it.announce(it.east, it.train("east"), blob(51));
  it.arrive(it.train("east"), blob(51));
  EXPECT_EQ(it.round(1).state, RoundState::training);
  EXPECT_EQ(it.store.task(it.train("east"))->merged_in, 2U);
  const auto effects = it.ask(it.alice, msg::ResumeJob{it.id});
  ASSERT_EQ(all<StartMerge>(effects).size(), 1U);
  EXPECT_EQ(all<StartMerge>(effects)[0].updates.size(), 2U);
}

TEST(Buffering, ASiteThatDrainsEndsItsTaskAndGetsNoMore) {
  Async it;
  const auto mary = it.connect(Role::operator_, "mary");
  it.ask(mary, msg::DrainSite{SiteId::literal("south"), ""});
  EXPECT_TRUE(it.has_task("south"));
  it.answer_from("south");
  EXPECT_FALSE(it.has_task("south"));
  it.ask(mary, msg::ResumeSite{SiteId::literal("south")});
  EXPECT_EQ(it.open("south"), it.train("south", 1, 2));
}

// What decides about the model, in a line: the merges with all that goes into them.
std::string text_of(const StartMerge& merge) {
  auto text = fmt::format("{} from {}:", merge.round, merge.model.short_hex());
  for (const auto& input : merge.updates) {
    text += fmt::format(" {} {} {} {}", input.site.str(), input.update.short_hex(), input.weight,
                        input.factor);
  }
  return text;
}

// Random lives of a job, with and without restarts of the broker between any two steps: tasks,
// seeds and merges are the same, so they follow from the rows.
class BufferingProperty : public testing::TestWithParam<std::uint32_t> {};

struct Life {
  std::vector<std::string> merges;
  std::vector<std::string> offers;
};

Life live(std::uint32_t seed, bool restarts) {
  std::mt19937 random(seed);
  const auto below = [&random](std::uint32_t bound) {
    return static_cast<std::uint32_t>(random() % bound);
  };
  AsyncSpec async{.buffer = 1 + below(4), .staleness_max = below(4)};
  async.concurrency = below(4);
  auto spec = async_spec(async, 1 + below(std::min(3U, async.buffer)));
  spec.rounds = 12;
  spec.keep = below(2) == 0 ? Keep::all : Keep::best_and_last;
  Async it(spec);
  Life life;
  const auto note = [&](const Effects& effects) {
    for (const auto& merge : all<StartMerge>(effects)) {
      life.merges.push_back(text_of(merge));
    }
    for (const auto& row : effects.rows) {
      const auto* task = std::get_if<TaskRow>(&row);
      if (task != nullptr && task->state == TaskState::pending) {
        const auto& part = it.job(it.id).parts.at(task->key.site).row;
        EXPECT_TRUE(part.has_place && part.enrolment == Enrolment::accepted);
        life.offers.push_back(fmt::format("{} {} {} {}", task->key.site.str(), task->key.round,
                                          task->key.attempt,
                                          taken_before(it.job(it.id), task->key)));
      }
    }
    std::map<SiteId, int> open;
    std::size_t training = 0;
    for (const auto& [key, task] : it.job(it.id).tasks) {
      if (key.kind == TaskKind::train && is_open(task)) {
        EXPECT_LE(++open[key.site], 1) << "one task a site";
        ++training;
        EXPECT_FALSE(it.round(key.round - 1).model_removed) << "it trains from that version";
      }
    }
    EXPECT_TRUE(async.concurrency == 0 || training <= async.concurrency);
  };
  std::uint32_t number = 0;
  for (int i = 0; i < 400 && !it.job(it.id).ended(); ++i) {
    if (restarts) {
      it.restart();
      it.east = it.connect("east");
      it.north = it.connect("north");
      it.south = it.connect("south");
    }
    const auto round = it.job(it.id).rounds.rbegin()->second;
    const auto* const site = std::array{"east", "north", "south"}.at(below(3));
    const auto what = below(8);
    if (round.state == RoundState::merging && what < 4) {
      note(it.merge_round(round.round));
    } else if (it.has_task(site)) {
      const auto key = it.open(site);
      BlobId update = blob(1);
      update.bytes[0] = static_cast<std::uint8_t>(++number);
      update.bytes[1] = static_cast<std::uint8_t>(number >> 8);
      note(what == 7 && key.attempt == 1
               ? it.hear(it.session_of(site), msg::TaskFailed{key, kPassing})
               : it.deliver(it.session_of(site), key, update, 50 + below(100)));
    }
  }
  EXPECT_EQ(it.state(it.id), JobState::completed) << "seed " << seed;
  return life;
}

TEST_P(BufferingProperty, WhatIsTrainedAndMergedFollowsFromTheRows) {
  const auto undisturbed = live(GetParam(), false);
  const auto restarted = live(GetParam(), true);
  EXPECT_EQ(undisturbed.merges, restarted.merges);
  EXPECT_EQ(undisturbed.offers, restarted.offers);
  EXPECT_GE(undisturbed.merges.size(), 12U);
}

INSTANTIATE_TEST_SUITE_P(Seeds, BufferingProperty, testing::Range(0U, 40U));

}  // namespace
}  // namespace entente::broker
