// Who takes part in a job's rounds: silence, return, replacement, draining.
#include <gmock/gmock.h>

#include "common/base/limits.h"
#include "common/domain/lost_promise.h"
#include "tests/unit/broker_core/scenario.h"

namespace entente::broker {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

const Millis kWindow = small_spec().stall_window;
const TaskFailure kForGood{{"broken", "no disk", "", {}}, false};

std::vector<std::string> sites_of(const std::vector<StartMerge>& merges) {
  std::vector<std::string> sites;
  for (const auto& merge : merges) {
    for (const auto& input : merge.updates) {
      sites.push_back(input.site.str());
    }
  }
  return sites;
}

// Three sites have the places of a job in round 1, with a quorum of two; west is not in the job.
struct WithAFourth : RunningJob {
  explicit WithAFourth(JobSpec spec = three_places()) : RunningJob(std::move(spec)) {}
  static JobSpec three_places() {
    auto spec = three_site_spec();
    spec.sites.max = 3;
    return spec;
  }
  SessionId west = connect("west");
  SessionId mary = connect(Role::operator_, "mary");

  bool has_place(const std::string& site) const {
    const auto* part = store.part(id, SiteId::literal(site));
    return part != nullptr && part->has_place;
  }
  std::string last_words(JobEventKind kind) const {
    std::string text;
    for (const auto& event : store.events(id)) {
      text = event.kind == kind ? event.text : text;
    }
    return text;
  }
  SessionId reconnect(const std::string& site, SessionId old) {
    on(SessionClosed{old});
    return connect(site);
  }
  Effects finish_round_without_south(Round round = 1) {
    deliver(east, train("east", round), blob(1));
    return deliver(north, train("north", round), blob(2));
  }
};

// Nobody stands in for anybody.
struct WithoutReplacement : WithAFourth {
  WithoutReplacement() : WithAFourth(spec()) {}
  static JobSpec spec() {
    auto spec = three_places();
    spec.sites.replace = false;
    spec.rounds = 3;
    return spec;
  }
};

TEST(Cohort, ASilentSiteThatIsAwayIsLeftOutUntilItIsBack) {
  WithoutReplacement it;
  it.on(SessionClosed{it.south});
  it.finish_round_without_south();
  EXPECT_THAT(sites_of(all<StartMerge>(it.wait(kWindow))), ElementsAre("east", "north"));
  it.merged(it.id, 1, blob(101));
  EXPECT_EQ(it.store.task(it.train("south", 2)), nullptr) << "it would cost a window again";
  it.deliver(it.east, it.train("east", 2), blob(3));
  const auto south = it.connect("south");
  EXPECT_EQ(it.store.task(it.train("south", 2))->state, TaskState::pending) << "it joins at once";
  it.deliver(it.north, it.train("north", 2), blob(4));
  EXPECT_THAT(sites_of(all<StartMerge>(it.deliver(south, it.train("south", 2), blob(5)))),
              ElementsAre("east", "north", "south"));
  EXPECT_THAT(it.last_words(JobEventKind::site_returned), HasSubstr("south is back"));
}

TEST(Cohort, ASilentSiteThatIsConnectedIsGivenItsTaskAndNotWaitedFor) {
  WithoutReplacement it;
  it.finish_round_without_south();
  it.wait(kWindow);
  EXPECT_EQ(sent<msg::TaskOffer>(it.merged(it.id, 1, blob(101)), it.south).size(), 1U)
      << "only the next order ends a trainer that hangs";
  it.deliver(it.east, it.train("east", 2), blob(3));
  const auto merges = all<StartMerge>(it.deliver(it.north, it.train("north", 2), blob(4)));
  EXPECT_THAT(sites_of(merges), ElementsAre("east", "north"));
}

TEST(Cohort, ASilentSiteThatReportsIsWaitedForAgain) {
  WithoutReplacement it;
  it.finish_round_without_south();
  it.wait(kWindow);
  it.merged(it.id, 1, blob(101));
  it.hear(it.south, msg::TaskReport{it.train("south", 2), {1, 10, "examples"}});
  it.deliver(it.east, it.train("east", 2), blob(3));
  EXPECT_TRUE(all<StartMerge>(it.deliver(it.north, it.train("north", 2), blob(4))).empty());
}

TEST(Cohort, SilenceOutlivesARestart) {
  WithoutReplacement it;
  it.on(SessionClosed{it.south});
  it.finish_round_without_south();
  it.wait(kWindow);
  it.restart();
  it.merged(it.id, 1, blob(101));
  EXPECT_EQ(it.store.task(it.train("south", 2)), nullptr);
}

TEST(Cohort, AStalledSitesPlaceIsTakenByTheNextEligibleSiteInTheOpenRound) {
  WithAFourth it;
  it.deliver(it.east, it.train("east"), blob(1));
  it.hear(it.north, msg::TaskReport{it.train("north"), {1, 10, "examples"}});
  it.wait(kWindow - Millis(1));
  it.hear(it.north, msg::TaskReport{it.train("north"), {2, 10, "examples"}});
  EXPECT_EQ(sent<msg::JobOffer>(it.wait(Millis(1)), it.west).size(), 1U);
  const auto offers = sent<msg::TaskOffer>(it.accept(it.west, it.id), it.west);
  ASSERT_EQ(offers.size(), 1U);
  EXPECT_EQ(offers[0].order.key, it.train("west"));
  EXPECT_FALSE(it.has_place("south"));
  EXPECT_EQ(it.last_words(JobEventKind::site_replaced),
            "west takes the place of south: no progress for 300 s");
}

TEST(Cohort, WhoeverAnswersFirstCountsAndARoundHasNoMoreUpdatesThanPlaces) {
  WithAFourth it;
  it.deliver(it.east, it.train("east"), blob(1));
  it.wait(kWindow);  // north and south stall, and west is asked
  it.accept(it.west, it.id);
  it.deliver(it.south, it.train("south"), blob(3));
  EXPECT_EQ(it.store.round(it.id, 1)->state, RoundState::training) << "west is at work";
  const auto merges = all<StartMerge>(it.deliver(it.north, it.train("north"), blob(2)));
  EXPECT_THAT(sites_of(merges), ElementsAre("east", "north", "south"));
  EXPECT_EQ(it.store.task(it.train("west"))->state, TaskState::lost);
  const auto late =
      sent<msg::ResultVerdict>(it.announce(it.west, it.train("west"), blob(4)), it.west);
  ASSERT_EQ(late.size(), 1U);
  EXPECT_EQ(late[0].refusal->code, "stale");
}

TEST(Cohort, WhoFindsItsPlaceTakenStandsByAndTakesTheNextVacantOne) {
  WithAFourth it;
  it.on(SessionClosed{it.south});
  it.deliver(it.east, it.train("east"), blob(1));
  it.hear(it.north, msg::TaskReport{it.train("north"), {1, 10, "examples"}});
  it.wait(kWindow - Millis(1));
  it.hear(it.north, msg::TaskReport{it.train("north"), {2, 10, "examples"}});
  it.wait(Millis(1));
  it.accept(it.west, it.id);
  it.deliver(it.west, it.train("west"), blob(4));
  it.deliver(it.north, it.train("north"), blob(2));
  it.connect("south");
  it.merged(it.id, 1, blob(101));
  EXPECT_EQ(it.store.task(it.train("south", 2)), nullptr) << "all places are taken";
  it.hear(it.north, msg::TaskFailed{it.train("north", 2), kForGood});
  EXPECT_TRUE(it.has_place("south"));
  EXPECT_EQ(it.store.task(it.train("south", 2))->state, TaskState::pending);
  EXPECT_EQ(it.last_words(JobEventKind::site_replaced), "south takes the place of north: no disk");
}

TEST(Cohort, ADeclineAsksTheNextAndTheJobFailsWhenNobodyIsLeft) {
  WithAFourth it;
  it.hear(it.east, msg::TaskFailed{it.train("east"), kForGood});
  it.hear(it.north, msg::TaskFailed{it.train("north"), kForGood});
  EXPECT_EQ(it.state(it.id), JobState::running) << "west is thinking";
  it.decline(it.west, it.id, "not our field");
  EXPECT_EQ(it.state(it.id), JobState::failed);
  EXPECT_THAT(it.store.job(it.id)->reason, HasSubstr("north: no disk"));
  EXPECT_THAT(it.store.job(it.id)->reason, HasSubstr("declined  west: not our field"));
}

TEST(Cohort, NobodyTakesAMandatorySitesPlace) {
  auto spec = WithAFourth::three_places();
  spec.sites.mandatory = {SiteId::literal("south")};
  WithAFourth it(spec);
  it.deliver(it.east, it.train("east"), blob(1));
  it.deliver(it.north, it.train("north"), blob(2));
  const auto effects = it.wait(kWindow);
  EXPECT_TRUE(sent<msg::JobOffer>(effects, it.west).empty());
  EXPECT_THAT(sites_of(all<StartMerge>(effects)), ElementsAre("east", "north"));
  EXPECT_TRUE(it.has_place("south"));
}

TEST(Cohort, AnUpdateThatIsDamagedAtItsMergeIsAskedForAgain) {
  WithAFourth it;
  it.finish_round_without_south();
  it.deliver(it.south, it.train("south"), blob(3));
  const auto effects = it.on(MergeFinished{it.id, 1, refuse("update_damaged", "no"), {blob(2)}});
  const auto again = it.train("north", 1, 2);
  ASSERT_EQ(sent<msg::TaskOffer>(effects, it.north).size(), 1U);
  EXPECT_EQ(sent<msg::TaskOffer>(effects, it.north)[0].order.key, again);
  EXPECT_EQ(it.store.part(it.id, SiteId::literal("north"))->updates_accepted, 0U);
  EXPECT_TRUE(it.store.audited("update.lose", "broker"));
  const auto old =
      sent<msg::ResultVerdict>(it.announce(it.north, it.train("north"), blob(2)), it.north);
  EXPECT_EQ(old.at(0).refusal->code, "stale");
  EXPECT_THAT(sites_of(all<StartMerge>(it.deliver(it.north, again, blob(2)))),
              ElementsAre("east", "north", "south"));
}

TEST(Cohort, AnUpdateThatIsDamagedWhileItsJobRestsIsAskedForAgainWhenTheJobGoesOn) {
  RunningJob it;
  it.deliver(it.east, it.train("east"), blob(1));
  it.deliver(it.north, it.train("north"), blob(2));
  it.deliver(it.south, it.train("south"), blob(3));
  it.ask(it.alice, msg::PauseJob{it.id, ""});
  it.on(MergeFinished{it.id, 1, refuse("update_damaged", "no"), {blob(2)}});
  const auto effects = it.ask(it.alice, msg::ResumeJob{it.id});
  EXPECT_TRUE(all<StartMerge>(effects).empty()) << "the quorum is two, and north is at work";
  EXPECT_EQ(it.store.task(it.train("north", 1, 2))->state, TaskState::pending);
}

TEST(Cohort, AnUpdateThatIsDamagedIsNoLongerAcceptedWhenTheRoundWentOnWithoutIt) {
  WithoutReplacement it;
  it.finish_round_without_south();
  it.deliver(it.south, it.train("south"), blob(3));
  it.on(MergeFinished{it.id, 1, refuse("update_damaged", "no"), {blob(2)}});
  const auto again = it.train("north", 1, 2);
  const auto effects = it.hear(it.north, msg::TaskFailed{again, {{"broken", "no", "", {}}, false}});
  EXPECT_THAT(sites_of(all<StartMerge>(effects)), ElementsAre("east", "south"));
  it.merged(it.id, 1, blob(101));
  const auto old =
      sent<msg::ResultVerdict>(it.announce(it.north, it.train("north"), blob(2)), it.north);
  EXPECT_EQ(old.at(0).refusal->code, "stale");
}

TEST(OwnSleep, OfTheBrokerBlamesNoSite) {
  WithoutReplacement it;
  it.finish_round_without_south();
  EXPECT_TRUE(all<StartMerge>(it.sleep(3 * kWindow)).empty());
  EXPECT_TRUE(all<StartMerge>(it.wait(kWindow - Millis(1))).empty());
  EXPECT_THAT(sites_of(all<StartMerge>(it.wait(Millis(1)))), ElementsAre("east", "north"));
}

TEST(OwnSleep, DoesNotStopADeadline) {
  WithoutReplacement it;
  it.sleep(WithoutReplacement::spec().deadline);
  EXPECT_EQ(it.state(it.id), JobState::failed);
}

TEST(Deadline, IsMeasuredByTheBrokersClockThroughRestarts) {
  WithoutReplacement it;
  it.wait(std::chrono::minutes(20));
  it.now.unix_ms += std::chrono::milliseconds(std::chrono::hours(24 * 365)).count();
  it.restart();
  EXPECT_EQ(it.state(it.id), JobState::running);
  it.wait(std::chrono::minutes(39));
  EXPECT_EQ(it.state(it.id), JobState::running);
  it.wait(std::chrono::minutes(2));
  EXPECT_EQ(it.state(it.id), JobState::failed);
}

const TaskFailure kNoPromise{{std::string(msg::kJobUnknown), "no promise", "", {}}, false};

TEST(ALostPromise, IsAskedForAnewAndTheTaskIsGivenAgain) {
  WithoutReplacement it;
  const auto asked = it.hear(it.south, msg::TaskFailed{it.train("south"), kNoPromise});
  EXPECT_EQ(sent<msg::JobOffer>(asked, it.south).size(), 1U);
  EXPECT_TRUE(it.has_place("south"));
  const auto again = sent<msg::TaskOffer>(it.accept(it.south, it.id), it.south);
  ASSERT_EQ(again.size(), 1U);
  EXPECT_EQ(again[0].order.key, it.train("south", 1, 2));
  it.deliver(it.south, it.train("south", 1, 2), blob(3));
  EXPECT_THAT(sites_of(all<StartMerge>(it.finish_round_without_south())),
              ElementsAre("east", "north", "south"));
}

TEST(ALostPromise, OfTheSiteThatMakesTheInitialModelIsAskedForAnewAlsoAfterItsTrainerDied) {
  Scenario it;
  auto spec = small_spec();
  spec.sites.min = spec.sites.max = 1;
  const auto north = it.connect("north");
  const auto id = it.submit(spec);
  it.accept(north, id);
  const TaskFailure died{{"trainer_died", "killed", "", {}}, true};
  const auto initialize = [&](Attempt attempt) {
    return key(id, 0, TaskKind::initialize, "north", attempt);
  };
  it.hear(north, msg::TaskFailed{initialize(1), died});
  it.hear(north, msg::TaskFailed{initialize(2), kNoPromise});
  const auto again = sent<msg::TaskOffer>(it.accept(north, id), north);
  ASSERT_EQ(again.size(), 1U);
  EXPECT_EQ(again[0].order.key, initialize(3));
}

TEST(ALostPromise, OfASiteThatNowDeclinesMakesItsPlaceVacant) {
  WithAFourth it;
  it.hear(it.south, msg::TaskFailed{it.train("south"), kNoPromise});
  it.decline(it.south, it.id, "not any more");
  it.accept(it.west, it.id);
  EXPECT_THAT(it.last_words(JobEventKind::site_replaced),
              HasSubstr("west takes the place of south: it takes part no longer: not any more"));
  EXPECT_TRUE(it.has_place("west"));
}

TEST(ALostPromise, OfASiteThatDoesNotAnswerMakesItsPlaceVacant) {
  WithAFourth it;
  it.hear(it.south, msg::TaskFailed{it.train("south"), kNoPromise});
  it.on(SessionClosed{it.south});
  it.wait(kWindow);
  it.accept(it.west, it.id);
  EXPECT_TRUE(it.has_place("west"));
}

TEST(ALostPromise, WithNobodyLeftFailsTheJobInTheSitesWords) {
  auto spec = WithoutReplacement::spec();
  spec.sites.quorum = 3;
  WithAFourth it(spec);
  it.hear(it.south, msg::TaskFailed{it.train("south"), kNoPromise});
  it.decline(it.south, it.id, "not any more");
  EXPECT_EQ(it.state(it.id), JobState::failed);
  EXPECT_THAT(it.job(it.id).row.reason, HasSubstr("declined  south: not any more"));
}

TEST(ALostPromise, IsNotAskedForWithoutEndInOneRound) {
  WithoutReplacement it;
  for (Attempt attempt = 1; attempt <= limits::kAttemptsMax; ++attempt) {
    it.hear(it.south, msg::TaskFailed{it.train("south", 1, attempt), kNoPromise});
    it.accept(it.south, it.id);
  }
  const auto last = it.train("south", 1, limits::kAttemptsMax + 1);
  EXPECT_TRUE(
      sent<msg::JobOffer>(it.hear(it.south, msg::TaskFailed{last, kNoPromise}), it.south).empty());
  EXPECT_EQ(it.job(it.id).tasks.at(last).row.state, TaskState::failed);
}

TEST(ALostPromise, OfASiteThatAsksItsPeopleFirstKeepsItsPlaceAndSlot) {
  WithoutReplacement it;
  it.hear(it.south, msg::TaskFailed{it.train("south"), kNoPromise});
  it.hear(it.south, msg::JobWaits{it.id, Scenario::kSpecDigest, "waits for approval"});
  const auto again = sent<msg::TaskOffer>(it.accept(it.south, it.id), it.south);
  ASSERT_EQ(again.size(), 1U);
  EXPECT_EQ(again[0].order.key, it.train("south", 1, 2));
}

TEST(APromiseTakenBack, FailsTheTasksAndMakesThePlaceVacant) {
  WithAFourth it;
  it.decline(it.south, it.id, "consent withdrawn");
  EXPECT_TRUE(it.store.audited("job.withdraw", "site/south"));
  EXPECT_EQ(it.job(it.id).tasks.at(it.train("south")).row.state, TaskState::failed);
  EXPECT_EQ(it.job(it.id).tasks.at(it.train("south")).row.reason, "consent withdrawn");
  it.accept(it.west, it.id);
  EXPECT_TRUE(it.has_place("west"));
  it.restart();
  EXPECT_TRUE(it.has_place("west"));
  EXPECT_FALSE(it.has_place("south")) << "a place that was taken is nobody else's after a restart";
}

TEST(APromiseTakenBack, LeavesWhatWasAcceptedAndEndsTheSitesPartInLaterRounds) {
  WithoutReplacement it;
  it.deliver(it.south, it.train("south"), blob(3));
  it.decline(it.south, it.id, "consent withdrawn");
  EXPECT_THAT(sites_of(all<StartMerge>(it.finish_round_without_south())),
              ElementsAre("east", "north", "south"));
  it.merged(it.id, 1, blob(101));
  EXPECT_FALSE(it.job(it.id).tasks.contains(it.train("south", 2)));
  EXPECT_TRUE(it.job(it.id).tasks.contains(it.train("north", 2)));
}

TEST(Draining, FinishesTheTaskAndIsReplacedInTheNextRound) {
  WithAFourth it;
  it.answer(it.mary, msg::DrainSite{SiteId::literal("south"), "a new disk"});
  it.finish_round_without_south();
  it.deliver(it.south, it.train("south"), blob(3));
  EXPECT_EQ(it.store.round(it.id, 1)->state, RoundState::merging);
  it.accept(it.west, it.id);
  EXPECT_THAT(it.last_words(JobEventKind::site_replaced),
              HasSubstr("west takes the place of south: it is draining, a new disk"));
  const auto effects = it.merged(it.id, 1, blob(101));
  EXPECT_TRUE(sent<msg::TaskOffer>(effects, it.south).empty());
  EXPECT_EQ(sent<msg::TaskOffer>(effects, it.west).size(), 1U);
}

TEST(Draining, IsKeptThroughARestartAndEndsWithResume) {
  WithoutReplacement it;
  it.answer(it.mary, msg::DrainSite{SiteId::literal("south"), ""});
  it.finish_round_without_south();
  it.deliver(it.south, it.train("south"), blob(3));
  it.restart();
  const auto south = it.connect("south");
  const auto mary = it.connect(Role::operator_, "mary");
  it.merged(it.id, 1, blob(101));
  EXPECT_EQ(it.store.task(it.train("south", 2)), nullptr);
  const auto effects = it.ask(mary, msg::ResumeSite{SiteId::literal("south")});
  EXPECT_EQ(sent<msg::TaskOffer>(effects, south).size(), 1U) << "it joins the open round";
  EXPECT_TRUE(it.store.audited("site.drain", "operator/mary"));
  EXPECT_TRUE(it.store.audited("site.resume", "operator/mary"));
}

TEST(Draining, GivesUpAStalledTaskAndAsksUnderANewAttemptAfterResume) {
  WithoutReplacement it;
  it.answer(it.mary, msg::DrainSite{SiteId::literal("south"), ""});
  it.wait(kWindow);
  EXPECT_EQ(it.store.task(it.train("south"))->state, TaskState::lost);
  it.hear(it.south, msg::TaskReport{it.train("south"), {1, 10, "examples"}});
  it.ask(it.mary, msg::ResumeSite{SiteId::literal("south")});
  EXPECT_EQ(it.store.task(it.train("south", 1, 2))->state, TaskState::pending);
  const auto late =
      sent<msg::ResultVerdict>(it.announce(it.south, it.train("south"), blob(3)), it.south);
  EXPECT_EQ(late.at(0).refusal->code, "stale");
}

TEST(Draining, GetsNoOffersOfJobs) {
  WithAFourth it;
  it.answer(it.mary, msg::DrainSite{SiteId::literal("west"), ""});
  const auto job = it.submit(small_spec());
  EXPECT_FALSE(it.job(job).parts.contains(SiteId::literal("west")));
  it.ask(it.mary, msg::ResumeSite{SiteId::literal("west")});
  EXPECT_TRUE(it.job(job).parts.contains(SiteId::literal("west")));
}

TEST(Draining, IsTheOperatorsToAskForAndShownInTheList) {
  WithAFourth it;
  const msg::DrainSite drain{SiteId::literal("south"), "a new disk"};
  EXPECT_EQ(it.refusal(it.alice, drain).code, "not_authorised");
  EXPECT_TRUE(it.store.audited("request.deny", "coordinator/alice"));
  EXPECT_THAT(it.refusal(it.mary, msg::DrainSite{SiteId::literal("soth"), ""}).hint,
              HasSubstr("south"));
  it.answer(it.mary, drain);
  const auto sites = std::get<std::vector<SiteView>>(it.answer(it.alice, msg::ListSites{}));
  const auto south = std::find_if(sites.begin(), sites.end(),
                                  [](const SiteView& site) { return site.site.str() == "south"; });
  EXPECT_TRUE(south->draining);
  EXPECT_EQ(south->drain_reason, "a new disk");
  EXPECT_EQ(south->open_tasks, 1U);
}

// Prefers by the length of a site's name.
class LongNames : public Evaluator {
 public:
  std::optional<Refusal> check(const std::string&, Use, std::string_view) const override {
    return std::nullopt;
  }
  bool holds(const std::string&, const SiteId&, const SiteAdvert&) const override { return true; }
  double rank(const std::string&, const SiteId& site, const SiteAdvert&) const override {
    return static_cast<double>(site.str().size());
  }
  std::string seen(const std::string&, const SiteId&, const SiteAdvert&) const override {
    return {};
  }
};

TEST(Cohort, AVacantPlaceIsOfferedByTheJobsPreference) {
  const LongNames evaluator;
  Scenario it;
  it.core = BrokerCore({"hub", "0.1.0", {}, &evaluator}, {}, it.now);
  auto spec = small_spec();
  spec.sites.max = 1;
  spec.sites.prefer = "length(name)";
  const auto long_named = it.connect("the-longest");
  const auto id = it.submit(spec);
  it.accept(long_named, id);
  const auto a = it.connect("a");
  const auto longer = it.connect("longer");
  it.hear(long_named, msg::TaskFailed{key(id, 0, TaskKind::initialize, "the-longest"), kForGood});
  EXPECT_EQ(it.store.part(id, SiteId::literal("a")), nullptr);
  EXPECT_NE(it.store.part(id, SiteId::literal("longer")), nullptr);
  (void)a;
  (void)longer;
}

}  // namespace
}  // namespace entente::broker
