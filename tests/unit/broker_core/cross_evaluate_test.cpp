// Jobs of the kind "cross_evaluate": every site's model on every site's examples.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "broker/core/damage.h"
#include "common/domain/cross_evaluation.h"
#include "common/domain/measures.h"
#include "tests/unit/broker_core/scenario.h"

namespace entente::broker {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Key;
using testing::Not;
using testing::UnorderedElementsAre;

JobSpec cross_spec() {
  JobSpec spec = small_spec(1);
  spec.kind = JobKind::cross_evaluate;
  spec.sites.min = 3;
  spec.sites.max = kCrossSitesMax;
  spec.evaluate = EvaluateSpec{"scans", 1};
  return spec;
}

// Version 0 is blob 100; the updates of east, north and south are 1, 2 and 3, their models 101, 102
// and 103.
struct CrossJob : Scenario {
  explicit CrossJob(JobSpec spec = cross_spec()) : id(submit(spec)) {
    for (const auto session : {east, north, south}) {
      accept(session, id);
    }
    deliver(east, key(id, 0, TaskKind::initialize, "east"), blob(100));
  }
  SessionId session(const std::string& site) const {
    return site == "east" ? east : site == "north" ? north : south;
  }
  TaskKey train(const std::string& site, Attempt attempt = 1) const {
    return key(id, 1, TaskKind::train, site, attempt);
  }
  TaskKey evaluate(Round round, const std::string& site, Attempt attempt = 1) const {
    return key(id, round, TaskKind::evaluate, site, attempt);
  }
  // Every site sends its model, and the first one is made a version.
  Effects all_train() {
    deliver(north, train("north"), blob(2), 200);
    deliver(south, train("south"), blob(3), 300);
    last_merges = all<StartMerge>(deliver(east, train("east"), blob(1), 100));
    return merged(id, 1, blob(101));
  }
  Effects answer(Round round, const std::string& site, double right, std::uint64_t count = 100) {
    TaskResult result{std::nullopt, 0, count, 0, {}};
    const auto n = static_cast<double>(count);
    result.sums = {{"count", {n}}, {"correct", {right}}, {"loss", {1}}, {"loss_weight", {n}}};
    result.metrics = metrics_from(result.sums);
    return hear(session(site), msg::ResultAnnounce{evaluate(round, site), result});
  }
  Effects cannot(Round round, const std::string& site, const std::string& why) {
    return hear(session(site), msg::TaskFailed{evaluate(round, site), {{"no", why, "", {}}}});
  }
  Effects all_answer(Round round) {
    answer(round, "east", 10);
    answer(round, "north", 20);
    return answer(round, "south", 30);
  }
  const RoundRow& row(Round round) const { return *store.round(id, round); }
  double accuracy(Round version, const std::string& site) const {
    return row(version).at_sites.at(SiteId::literal(site)).metrics.at("accuracy");
  }
  std::string events() const {
    std::string text;
    for (const auto& event : store.events(id)) {
      text += event.text + "\n";
    }
    return text;
  }
  void come_back() {
    east = connect("east");
    north = connect("north");
    south = connect("south");
  }

  SessionId alice = connect(Role::coordinator, "alice");
  SessionId east = connect("east");
  SessionId north = connect("north");
  SessionId south = connect("south");
  JobId id;
  std::vector<StartMerge> last_merges;
};

// What the matrix has of a site's model: the columns that have a cell.
std::vector<std::string> columns(const RoundRow& row) {
  std::vector<std::string> sites;
  for (const auto& [site, cell] : row.at_sites) {
    sites.push_back(site.str());
  }
  return sites;
}

std::vector<BlobId> dropped(const Effects& effects) {
  std::vector<BlobId> blobs;
  for (const auto& drop : all<DropBlob>(effects)) {
    blobs.push_back(drop.blob);
  }
  return blobs;
}

TEST(CrossEvaluateJob, JudgesEachSitesModelAtEverySite) {
  CrossJob it;
  const auto first = it.all_train();
  ASSERT_EQ(it.last_merges.size(), 1U);
  EXPECT_EQ(it.last_merges[0].model, blob(100));
  ASSERT_EQ(it.last_merges[0].updates.size(), 1U) << "one site's alone";
  EXPECT_EQ(it.last_merges[0].updates[0].update, blob(1));
  const auto offers = sent<msg::TaskOffer>(first, it.south);
  ASSERT_EQ(offers.size(), 1U);
  EXPECT_EQ(offers[0].order.key, it.evaluate(2, "south"));
  EXPECT_EQ(offers[0].order.model, blob(101));
  EXPECT_EQ(offers[0].order.cohort, 1U) << "a single site's, whoever takes part";

  it.answer(2, "east", 90);
  it.answer(2, "north", 80);
  const auto merges = all<StartMerge>(it.answer(2, "south", 10, 200));
  ASSERT_EQ(merges.size(), 1U);
  EXPECT_EQ(merges[0].model, blob(100)) << "each model goes on from the initial one";
  EXPECT_EQ(merges[0].updates[0].update, blob(2));
  it.merged(it.id, 2, blob(102));
  it.all_answer(3);
  it.merged(it.id, 3, blob(103));
  EXPECT_EQ(it.state(it.id), JobState::running);
  it.all_answer(4);
  EXPECT_EQ(it.state(it.id), JobState::completed);

  EXPECT_EQ(it.row(1).model_of, "east");
  EXPECT_EQ(it.row(2).model_of, "north");
  EXPECT_EQ(it.row(3).model_of, "south");
  EXPECT_EQ(it.row(4).model_of, "");
  EXPECT_FALSE(it.row(4).model);
  EXPECT_EQ(it.accuracy(1, "east"), 0.9);
  EXPECT_EQ(it.accuracy(1, "north"), 0.8);
  EXPECT_EQ(it.accuracy(1, "south"), 0.05);
  EXPECT_EQ(it.row(1).at_sites.at(SiteId::literal("south")).examples, 200U);
  EXPECT_EQ(it.row(1).evaluate_metrics.at("accuracy"), 180.0 / 400) << "over all examples";
  EXPECT_EQ(it.accuracy(3, "north"), 0.2);
  EXPECT_THAT(it.events(), HasSubstr("round 3 of 4: evaluating the model of north at 3 sites"));
  EXPECT_THAT(it.events(), HasSubstr("east evaluated the model of north on 100 examples"));
}

TEST(CrossEvaluateJob, HasReceiptsOfOneSiteEach) {
  CrossJob it;
  it.all_train();
  it.all_answer(2);
  it.merged(it.id, 2, blob(102));
  const auto receipt = it.store.models().back();
  EXPECT_EQ(receipt.version, 2U);
  EXPECT_EQ(receipt.parent, blob(100));
  ASSERT_EQ(receipt.contributions.size(), 1U);
  EXPECT_EQ(receipt.contributions[0].site.str(), "north");
  EXPECT_EQ(receipt.contributions[0].weight, 1);
  EXPECT_EQ(receipt.contributions[0].examples, 200U);
  EXPECT_EQ(receipt.contributions[0].started_from, 0U);
}

TEST(CrossEvaluateJob, KeepsEachUpdateUntilItIsAModel) {
  CrossJob it;
  EXPECT_THAT(dropped(it.all_train()), ElementsAre(blob(1)));
  it.all_answer(2);
  EXPECT_THAT(dropped(it.merged(it.id, 2, blob(102))), ElementsAre(blob(2)));
}

TEST(CrossEvaluateJob, LeavesTheCellOfASiteThatFailsEmptyAndAsksItAgainInTheNextRow) {
  CrossJob it;
  it.all_train();
  it.cannot(2, "north", "out of memory");
  it.answer(2, "east", 90);
  it.answer(2, "south", 10);
  EXPECT_THAT(columns(it.row(1)), ElementsAre("east", "south"));
  EXPECT_THAT(it.events(), HasSubstr("not counted  north: out of memory"));
  const auto next = it.merged(it.id, 2, blob(102));
  EXPECT_EQ(sent<msg::TaskOffer>(next, it.north).size(), 1U);
}

TEST(CrossEvaluateJob, WaitsOneStallWindowForASiteThatIsGoneNotOneForEachModel) {
  CrossJob it;
  it.all_train();
  it.on(SessionClosed{it.north});
  it.answer(2, "east", 90);
  it.answer(2, "south", 10);
  EXPECT_EQ(it.row(2).state, RoundState::training);
  it.wait(cross_spec().stall_window);
  EXPECT_EQ(it.row(2).state, RoundState::merging);
  EXPECT_THAT(columns(it.row(1)), ElementsAre("east", "south"));
  it.merged(it.id, 2, blob(102));
  it.answer(3, "east", 90);
  it.answer(3, "south", 10);
  EXPECT_EQ(it.row(3).state, RoundState::merging) << "it is known to be silent";
  it.merged(it.id, 3, blob(103));
  it.north = it.connect("north");
  it.all_answer(4);
  EXPECT_THAT(columns(it.row(3)), ElementsAre("east", "north", "south")) << "back in time";
  EXPECT_EQ(it.state(it.id), JobState::completed);
}

TEST(CrossEvaluateJob, DoesNotCloseARoundWithoutAnAnswerWhileSomebodyMayStillGiveOne) {
  CrossJob it;
  it.all_train();
  it.cannot(2, "north", "no");
  it.cannot(2, "south", "no");
  it.wait(2 * cross_spec().stall_window);
  EXPECT_EQ(it.row(2).state, RoundState::training) << "east is slow, or its line is down";
  it.answer(2, "east", 90);
  EXPECT_EQ(it.row(2).state, RoundState::merging);
}

TEST(CrossEvaluateJob, GoesOnToTheNextModelWhenNobodyCanRunOne) {
  CrossJob it;
  it.all_train();
  for (const auto* site : {"east", "north", "south"}) {
    it.cannot(2, site, "the loss is infinite");
  }
  EXPECT_THAT(columns(it.row(1)), IsEmpty());
  EXPECT_TRUE(it.row(1).evaluated);
  it.merged(it.id, 2, blob(102));
  it.all_answer(3);
  it.merged(it.id, 3, blob(103));
  it.all_answer(4);
  EXPECT_EQ(it.state(it.id), JobState::completed);
}

TEST(CrossEvaluateJob, FailsWithoutASingleCellAndSaysWhy) {
  CrossJob it;
  it.all_train();
  for (Round round = 2; round <= 4; ++round) {
    for (const auto* site : {"east", "north", "south"}) {
      it.cannot(round, site, "has 7 examples");
    }
    if (round < 4) {
      it.merged(it.id, round, blob(static_cast<std::uint8_t>(100 + round)));
    }
  }
  EXPECT_EQ(it.state(it.id), JobState::failed);
  EXPECT_THAT(it.job(it.id).row.reason, HasSubstr("no site could evaluate a single model"));
  EXPECT_THAT(it.job(it.id).row.reason, HasSubstr("north: has 7 examples"));
}

TEST(CrossEvaluateJob, ASiteWithoutAModelStillJudgesTheOthers) {
  auto spec = cross_spec();
  spec.sites.quorum = 2;
  CrossJob it(spec);
  it.hear(it.north, msg::TaskFailed{it.train("north"), {{"no", "labels are missing", "", {}}}});
  it.deliver(it.east, it.train("east"), blob(1));
  it.deliver(it.south, it.train("south"), blob(3));
  it.merged(it.id, 1, blob(101));
  it.all_answer(2);
  EXPECT_THAT(columns(it.row(1)), ElementsAre("east", "north", "south"));
  EXPECT_EQ(it.row(2).model_of, "south");
  it.merged(it.id, 2, blob(103));
  it.all_answer(3);
  EXPECT_EQ(it.state(it.id), JobState::completed) << "two models, three rounds";
}

TEST(CrossEvaluateJob, GivesNoPlaceAwayOnceTheModelsAreMade) {
  CrossJob it;
  const auto west = it.connect("west");
  it.accept(west, it.id);
  it.all_train();
  it.cannot(2, "north", "broken");
  it.answer(2, "east", 90);
  it.answer(2, "south", 10);
  it.merged(it.id, 2, blob(102));
  EXPECT_TRUE(it.store.part(it.id, SiteId::literal("north"))->has_place);
  const auto* other = it.store.part(it.id, SiteId::literal("west"));
  EXPECT_TRUE(other == nullptr || !other->has_place);
}

TEST(CrossEvaluateJob, GoesOnWhereItWasWhereverTheBrokerEnds) {
  CrossJob it;
  it.deliver(it.north, it.train("north"), blob(2), 200);
  it.restart();
  it.come_back();
  it.deliver(it.south, it.train("south"), blob(3), 300);
  it.deliver(it.east, it.train("east"), blob(1), 100);
  ASSERT_EQ(all<StartMerge>(it.restart()).size(), 1U) << "dead while it merges";
  it.come_back();
  it.merged(it.id, 1, blob(101));
  it.restart();
  it.come_back();
  it.answer(2, "east", 10);
  it.answer(2, "north", 20);
  it.restart();
  it.come_back();
  it.answer(2, "south", 30);
  const auto merges = all<StartMerge>(it.restart());
  ASSERT_EQ(merges.size(), 1U);
  EXPECT_EQ(merges[0].model, blob(100));
  ASSERT_EQ(merges[0].updates.size(), 1U);
  EXPECT_EQ(merges[0].updates[0].update, blob(2));
  it.come_back();
  it.merged(it.id, 2, blob(102));
  it.restart();
  it.come_back();
  it.all_answer(3);
  it.merged(it.id, 3, blob(103));
  it.all_answer(4);
  EXPECT_EQ(it.state(it.id), JobState::completed);
  EXPECT_EQ(it.accuracy(1, "north"), 0.2);
  EXPECT_EQ(it.row(3).model_of, "south");
  EXPECT_THAT(columns(it.row(3)), ElementsAre("east", "north", "south"));
}

TEST(CrossEvaluateJob, GoesOnAfterAPause) {
  CrossJob it;
  it.all_train();
  it.answer(2, "east", 10);
  it.ask(it.alice, msg::PauseJob{it.id, ""});
  it.ask(it.alice, msg::ResumeJob{it.id});
  EXPECT_EQ(it.state(it.id), JobState::running);
  it.answer(2, "north", 20);
  it.answer(2, "south", 30);
  EXPECT_THAT(columns(it.row(1)), ElementsAre("east", "north", "south"));
  EXPECT_EQ(it.row(2).state, RoundState::merging);
}

TEST(CrossEvaluateJob, AsksForAnUpdateAgainThatIsDamagedInTheFirstRound) {
  CrossJob it;
  it.deliver(it.north, it.train("north"), blob(2));
  it.deliver(it.south, it.train("south"), blob(3));
  it.deliver(it.east, it.train("east"), blob(1));
  it.on(MergeFinished{it.id, 1, refuse("update_damaged", "no"), {blob(1)}});
  EXPECT_EQ(it.row(1).state, RoundState::training);
  it.deliver(it.east, it.train("east", 2), blob(1));
  it.merged(it.id, 1, blob(101));
  EXPECT_EQ(it.row(1).model_of, "east");
  EXPECT_EQ(it.row(1).updates, 3U);
}

TEST(CrossEvaluateJob, LeavesAModelOutWhoseUpdateIsDamagedWhenItsTurnComes) {
  CrossJob it;
  it.all_train();
  it.all_answer(2);
  const auto effects = it.on(MergeFinished{it.id, 2, refuse("update_damaged", "no"), {blob(2)}});
  const auto merges = all<StartMerge>(effects);
  ASSERT_EQ(merges.size(), 1U);
  EXPECT_EQ(merges[0].round, 2U);
  EXPECT_EQ(merges[0].updates[0].update, blob(3)) << "south moves up";
  EXPECT_THAT(it.events(), HasSubstr("its update was damaged on the broker's disk\nthe matrix goes "
                                     "on without the model of north"));
  it.restart();
  it.come_back();
  it.merged(it.id, 2, blob(103));
  EXPECT_EQ(it.row(2).model_of, "south");
  it.all_answer(3);
  EXPECT_EQ(it.state(it.id), JobState::completed);
  EXPECT_EQ(it.store.models().back().contributions[0].site.str(), "south");
  EXPECT_THAT(columns(it.row(2)), ElementsAre("east", "north", "south"));
}

TEST(CrossEvaluateJob, CompletesWhenTheLastUpdateIsTheDamagedOne) {
  CrossJob it;
  it.all_train();
  it.all_answer(2);
  it.merged(it.id, 2, blob(102));
  it.all_answer(3);
  it.on(MergeFinished{it.id, 3, refuse("update_damaged", "no"), {blob(3)}});
  EXPECT_EQ(it.state(it.id), JobState::completed);
  EXPECT_EQ(it.row(3).model_of, "");
  EXPECT_FALSE(it.row(3).model);
}

// What has not been shown to anybody yet stays so.
TEST(CrossEvaluateJob, ShowsNobodyTheModelOfASiteThatHasTakenItsWordBack) {
  CrossJob it;
  it.all_train();
  it.decline(it.north, it.id, "our board has changed its mind");
  it.answer(2, "east", 10);
  const auto effects = it.answer(2, "south", 30);
  const auto merges = all<StartMerge>(effects);
  ASSERT_EQ(merges.size(), 1U);
  EXPECT_EQ(merges[0].updates[0].update, blob(3));
  EXPECT_THAT(dropped(effects), ElementsAre(blob(2)));
  EXPECT_THAT(it.events(), HasSubstr("the matrix goes on without the model of north"));
  EXPECT_THAT(it.store.part(it.id, SiteId::literal("north"))->reason,
              HasSubstr("our board has changed its mind"));
  it.merged(it.id, 2, blob(103));
  it.answer(3, "east", 10);
  it.answer(3, "south", 30);
  EXPECT_EQ(it.state(it.id), JobState::completed);
  EXPECT_EQ(it.store.models().size(), 3U);
}

TEST(CrossEvaluateJob, ShowsNobodyTheFirstModelOfASiteThatHasTakenItsWordBackEither) {
  CrossJob it;
  it.deliver(it.east, it.train("east"), blob(1));
  it.deliver(it.north, it.train("north"), blob(2));
  it.decline(it.east, it.id, "our board has changed its mind");
  const auto merges = all<StartMerge>(it.deliver(it.south, it.train("south"), blob(3)));
  ASSERT_EQ(merges.size(), 1U);
  ASSERT_EQ(merges[0].updates.size(), 1U);
  EXPECT_EQ(merges[0].updates[0].update, blob(2));
  it.merged(it.id, 1, blob(102));
  EXPECT_EQ(it.row(1).model_of, "north");
  EXPECT_EQ(it.row(1).updates, 2U);
}

TEST(CrossEvaluateJob, PublishesNoModelWhoseSiteHasTakenItsWordBackWhileItWasMade) {
  CrossJob it;
  it.all_train();
  it.answer(2, "east", 10);
  it.answer(2, "north", 20);
  it.answer(2, "south", 30);  // the model of north is being made
  it.decline(it.north, it.id, "our board has changed its mind");
  const auto effects = it.merged(it.id, 2, blob(102));
  EXPECT_THAT(dropped(effects), UnorderedElementsAre(blob(2), blob(102)));
  const auto merges = all<StartMerge>(effects);
  ASSERT_EQ(merges.size(), 1U);
  EXPECT_EQ(merges[0].updates[0].update, blob(3));
  it.merged(it.id, 2, blob(103));
  EXPECT_EQ(it.row(2).model_of, "south");
}

TEST(CrossEvaluateJob, OffersAModelNoMoreWhenItsSiteTakesItsWordBackWhileOthersJudgeIt) {
  CrossJob it;
  it.all_train();
  it.answer(2, "north", 20);
  const auto effects = it.decline(it.east, it.id, "our board has changed its mind");
  EXPECT_EQ(it.row(1).at_sites.size(), 1U) << "what was said stays";
  EXPECT_TRUE(it.row(1).model_removed);
  EXPECT_THAT(dropped(effects), Contains(blob(101)));
  EXPECT_EQ(it.store.task(it.evaluate(2, "south"))->state, TaskState::lost);
  EXPECT_EQ(all<StartMerge>(effects).at(0).updates[0].update, blob(2)) << "the next one";
}

TEST(CrossEvaluateJob, ShowsNobodyAModelWhoseSiteTakesItsWordBackWhileTheJobRests) {
  auto spec = cross_spec();
  spec.sites.min = 2;
  CrossJob it(spec);
  it.deliver(it.north, it.train("north"), blob(2));
  it.deliver(it.south, it.train("south"), blob(3));
  it.deliver(it.east, it.train("east"), blob(1));
  it.ask(it.alice, msg::PauseJob{it.id, ""});
  it.merged(it.id, 1, blob(101));
  const auto effects = it.decline(it.east, it.id, "our board has changed its mind");
  EXPECT_THAT(dropped(effects), Contains(blob(101)));
  const auto resumed = it.ask(it.alice, msg::ResumeJob{it.id});
  for (const auto& offer : sent<msg::TaskOffer>(resumed, it.north)) {
    EXPECT_NE(offer.order.model, blob(101));
  }
  EXPECT_THAT(it.events(), HasSubstr("passing over the model of east"));
  it.merged(it.id, 2, blob(102));
  EXPECT_EQ(it.row(2).model_of, "north");
}

TEST(CrossEvaluateJob, GivesNoPlaceToANewSiteWhenItGoesOnAfterARest) {
  auto spec = cross_spec();
  spec.sites.min = 2;
  CrossJob it(spec);
  it.all_train();
  it.ask(it.alice, msg::PauseJob{it.id, ""});
  it.on(SessionClosed{it.south});
  const auto west = it.connect("west");
  const auto resumed = it.ask(it.alice, msg::ResumeJob{it.id});
  EXPECT_THAT(sent<msg::JobOffer>(resumed, west), IsEmpty());
  EXPECT_EQ(it.state(it.id), JobState::running);
  EXPECT_TRUE(it.store.part(it.id, SiteId::literal("south"))->has_place);
}

TEST(CrossEvaluateJob, FailsWhenNoSiteIsLeft) {
  CrossJob it;
  it.all_train();
  for (const auto session : {it.east, it.north, it.south}) {
    it.decline(session, it.id, "no longer");
  }
  it.merged(it.id, 2, blob(102));  // which was under way
  EXPECT_EQ(it.state(it.id), JobState::failed);
  EXPECT_FALSE(it.store.round(it.id, 2)->model);
}

TEST(CrossEvaluateJob, KeepsInACellWhatAllSitesKnow) {
  CrossJob it;
  it.all_train();
  TaskResult odd{std::nullopt, 0, 100, 0, {{"accuracy", 0.5}}};
  for (int i = 0; i < 40; ++i) {
    odd.metrics["own_" + std::to_string(i)] = i;
  }
  it.hear(it.east, msg::ResultAnnounce{it.evaluate(2, "east"), odd});
  it.answer(2, "north", 20);
  it.answer(2, "south", 30);
  EXPECT_THAT(it.row(1).at_sites.at(SiteId::literal("east")).metrics, ElementsAre(Key("accuracy")));
}

TEST(CrossEvaluateJob, NeedsItsEvaluationDatasetAtEverySite) {
  Scenario it;
  const auto alice = it.connect(Role::coordinator, "alice");
  it.connect("east");
  auto both = advert();
  both.datasets.push_back({"held-out", "idx", 64, {4}, 2});
  it.connect("north", both);
  auto spec = cross_spec();
  spec.evaluate->dataset = "held-out";
  const auto explained = std::get<Explanation>(it.answer(alice, msg::ExplainSpec{spec}));
  ASSERT_EQ(explained.sites.size(), 2U);
  EXPECT_EQ(explained.sites[0].standing, SiteStanding::free);
  EXPECT_THAT(explained.sites[1].sentences,
              ElementsAre("has no dataset \"held-out\" to judge the models by"));
}

TEST(CrossEvaluateJob, TellsHowManyRoundsThereAreOnceItKnows) {
  auto spec = cross_spec();
  spec.sites.quorum = 2;
  CrossJob it(spec);
  const auto rounds = [&] {
    return std::get<JobView>(it.Scenario::answer(it.alice, msg::ShowJob{it.id})).summary.rounds;
  };
  EXPECT_EQ(rounds(), 4U) << "three places";
  EXPECT_THAT(it.events(), Not(HasSubstr("1 rounds")));
  it.hear(it.north, msg::TaskFailed{it.train("north"), {{"no", "no data today", "", {}}}});
  it.deliver(it.south, it.train("south"), blob(3));
  it.deliver(it.east, it.train("east"), blob(1));
  EXPECT_EQ(rounds(), 3U) << "two have sent a model";
}

}  // namespace
}  // namespace entente::broker
