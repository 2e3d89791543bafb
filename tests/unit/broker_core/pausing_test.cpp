// Jobs that people pause, and their way back.
#include "broker/core/pausing.h"

#include <gmock/gmock.h>

#include "tests/unit/broker_core/scenario.h"

namespace entente::broker {
namespace {

using testing::HasSubstr;

// Three sites train round 1; alice may pause the job.
struct Paused : RunningJob {
  explicit Paused(JobSpec spec = three_site_spec()) : RunningJob(std::move(spec)) {}

  Effects pause(const std::string& reason = "") { return ask(alice, msg::PauseJob{id, reason}); }
  Effects resume() { return ask(alice, msg::ResumeJob{id}); }
  std::uint32_t claimed(const std::string& site) const {
    return core.state().sites.at(SiteId::literal(site)).claimed;
  }
  std::size_t count(JobEventKind kind) const {
    const auto& events = store.events(id);
    return static_cast<std::size_t>(std::count_if(
        events.begin(), events.end(), [kind](const auto& event) { return event.kind == kind; }));
  }
  // The process ends and starts again, and the sites come back.
  void restart_with_sites() {
    restart();
    alice = connect(Role::coordinator, "alice");
    east = connect("east");
    north = connect("north");
    south = connect("south");
  }
};

TEST(Pausing, GivesEverySlotBackAndTellsTheSitesToStop) {
  Paused it;
  const auto effects = it.pause("the cluster is needed");
  EXPECT_EQ(it.state(it.id), JobState::paused);
  for (const auto* site : {"east", "north", "south"}) {
    EXPECT_EQ(it.claimed(site), 0U) << site;
  }
  for (const auto site : {it.east, it.north, it.south}) {
    ASSERT_EQ(sent<msg::JobPaused>(effects, site).size(), 1U);
    EXPECT_THAT(sent<msg::JobPaused>(effects, site)[0].reason, HasSubstr("the cluster is needed"));
    EXPECT_TRUE(sent<msg::JobClosed>(effects, site).empty());
  }
  EXPECT_EQ(it.store.events(it.id).back().text,
            "paused by coordinator/alice: the cluster is needed");
}

TEST(Pausing, KeepsAcceptedUpdatesAndAsksNobodyTwice) {
  Paused it;
  it.deliver(it.east, it.train("east"), blob(1));
  it.pause();
  const auto effects = it.resume();
  EXPECT_EQ(it.state(it.id), JobState::running) << "its sites have accepted before";
  EXPECT_TRUE(sent<msg::JobOffer>(effects, it.north).empty());
  EXPECT_TRUE(sent<msg::TaskOffer>(effects, it.east).empty());
  ASSERT_EQ(sent<msg::TaskOffer>(effects, it.north).size(), 1U);
  EXPECT_EQ(sent<msg::TaskOffer>(effects, it.north)[0].order.key, it.train("north"))
      << "the same task again, under the same attempt";
  it.deliver(it.north, it.train("north"), blob(2));
  const auto merges = all<StartMerge>(it.deliver(it.south, it.train("south"), blob(3)));
  ASSERT_EQ(merges.size(), 1U);
  EXPECT_EQ(merges[0].updates.size(), 3U);
}

TEST(Pausing, AcceptsAResultThatWasFinishedBefore) {
  Paused it;
  it.deliver(it.east, it.train("east"), blob(1));
  it.announce(it.north, it.train("north"), blob(2));
  it.pause();
  EXPECT_EQ(sent<msg::ResultVerdict>(it.arrive(it.train("north"), blob(2)), it.north).at(0).refusal,
            std::nullopt);
  EXPECT_EQ(
      sent<msg::ResultGrant>(it.announce(it.south, it.train("south"), blob(3)), it.south).size(),
      1U);
  EXPECT_TRUE(all<StartMerge>(it.arrive(it.train("south"), blob(3))).empty()) << "no round closes";
  EXPECT_EQ(all<StartMerge>(it.resume()).size(), 1U);
}

TEST(Pausing, AcceptsNoMoreThanTheRoundTakes) {
  auto spec = Paused::three_site_spec();
  spec.sites.sample = SampleSpec{SampleBy::uniform, 2, 0, 1.5, 0};
  Paused it(spec);
  it.announce(it.east, it.train("east"), blob(1));
  it.announce(it.north, it.train("north"), blob(2));
  it.announce(it.south, it.train("south"), blob(3));
  it.pause();
  it.arrive(it.train("east"), blob(1));
  it.arrive(it.train("north"), blob(2));
  const auto verdicts = sent<msg::ResultVerdict>(it.arrive(it.train("south"), blob(3)), it.south);
  ASSERT_EQ(verdicts.size(), 1U);
  ASSERT_TRUE(verdicts[0].refusal);
  EXPECT_EQ(verdicts[0].refusal->code, "stale");
  const auto merges = all<StartMerge>(it.resume());
  ASSERT_EQ(merges.size(), 1U);
  EXPECT_EQ(merges[0].updates.size(), 2U);
}

TEST(Pausing, LetsAMergeEndAndBeginsNoRound) {
  Paused it;
  it.deliver(it.east, it.train("east"), blob(1));
  it.deliver(it.north, it.train("north"), blob(2));
  it.deliver(it.south, it.train("south"), blob(3));
  it.pause();
  const auto effects = it.merged(it.id, 1, blob(101));
  EXPECT_EQ(it.store.round(it.id, 1)->state, RoundState::done);
  EXPECT_EQ(it.store.round(it.id, 2), nullptr);
  EXPECT_TRUE(sent<msg::TaskOffer>(effects, it.east).empty());
  EXPECT_EQ(sent<msg::TaskOffer>(it.resume(), it.east).at(0).order.key, it.train("east", 2));
}

TEST(Pausing, PublishesAnInitialModelThatWasFinishedAndGoesOnFromIt) {
  Scenario it;
  const auto north = it.connect("north");
  const auto alice = it.connect(Role::coordinator, "alice");
  const auto id = it.submit(small_spec());
  it.accept(north, id);
  it.ask(alice, msg::PauseJob{id, ""});
  it.deliver(north, key(id, 0, TaskKind::initialize, "north"), blob(100));
  EXPECT_EQ(it.store.round(id, 1), nullptr);
  const auto effects = it.ask(alice, msg::ResumeJob{id});
  EXPECT_EQ(sent<msg::TaskOffer>(effects, north).at(0).order.key,
            key(id, 1, TaskKind::train, "north"));
}

TEST(Pausing, OfTheLastMergeLeavesNothingToWaitFor) {
  Paused it;
  for (Round round = 1; round <= 2; ++round) {
    it.deliver(it.east, it.train("east", round), blob(1));
    it.deliver(it.north, it.train("north", round), blob(2));
    it.deliver(it.south, it.train("south", round), blob(3));
    if (round == 2) {
      it.pause();
    }
    it.merged(it.id, round, blob(static_cast<std::uint8_t>(100 + round)));
  }
  EXPECT_EQ(it.state(it.id), JobState::paused);
  it.resume();
  EXPECT_EQ(it.state(it.id), JobState::completed) << "it needs no slot to say so";
}

TEST(Pausing, IsIdempotentButForAnotherReason) {
  Paused it;
  it.pause("first");
  it.pause();
  it.pause("first");
  EXPECT_EQ(it.count(JobEventKind::paused), 1U);
  it.pause("second");
  EXPECT_EQ(it.job(it.id).row.reason, "by coordinator/alice: second");
  it.resume();
  it.resume();
  EXPECT_EQ(it.count(JobEventKind::resumed), 1U);
  EXPECT_EQ(it.state(it.id), JobState::running);
}

TEST(Pausing, StopsTheClockOfTheDeadlineAlsoAcrossARestart) {
  Paused it;
  it.wait(std::chrono::minutes(30));
  it.pause();
  it.wait(std::chrono::hours(5));
  EXPECT_EQ(it.state(it.id), JobState::paused);
  it.restart_with_sites();
  it.wait(std::chrono::hours(5));
  EXPECT_EQ(it.state(it.id), JobState::paused);
  it.resume();
  it.sleep(std::chrono::minutes(29));
  EXPECT_EQ(it.state(it.id), JobState::running);
  it.sleep(std::chrono::minutes(2));
  EXPECT_EQ(it.state(it.id), JobState::failed);
  EXPECT_EQ(it.job(it.id).row.reason, "its deadline has passed");
}

TEST(Pausing, OutlivesARestartWithTheOpenRound) {
  Paused it;
  it.deliver(it.east, it.train("east"), blob(1));
  it.pause("a reason");
  it.restart_with_sites();
  EXPECT_EQ(it.state(it.id), JobState::paused);
  EXPECT_EQ(it.job(it.id).row.reason, "by coordinator/alice: a reason");
  const auto effects = it.resume();
  EXPECT_TRUE(sent<msg::TaskOffer>(effects, it.east).empty());
  EXPECT_EQ(sent<msg::TaskOffer>(effects, it.south).at(0).order.key, it.train("south"));
}

TEST(Pausing, AMergeThatACrashHasCutIsDoneAgainWhileTheJobIsPaused) {
  Paused it;
  it.deliver(it.east, it.train("east"), blob(1));
  it.deliver(it.north, it.train("north"), blob(2));
  it.deliver(it.south, it.train("south"), blob(3));
  it.pause();
  EXPECT_EQ(all<StartMerge>(it.restart()).size(), 1U);
  it.merged(it.id, 1, blob(101));
  EXPECT_EQ(it.store.round(it.id, 1)->state, RoundState::done);
}

TEST(Pausing, TellsASiteThatWasAwayWhenItIsBack) {
  Paused it;
  it.on(SessionClosed{it.south});
  EXPECT_TRUE(sent<msg::JobPaused>(it.pause(), it.south).empty());
  const auto south = it.open(Role::site, "south");
  it.hello(south);
  const auto effects = it.hear(south, msg::Advert{advert()});
  EXPECT_EQ(sent<msg::JobPaused>(effects, south).size(), 1U);
  EXPECT_TRUE(sent<msg::TaskOffer>(effects, south).empty());
}

TEST(Pausing, TakesAQueuedJobOutOfTheCompetition) {
  Paused it;
  auto what = advert();
  what.slots = 1;
  for (const auto* site : {"east", "north", "south"}) {
    it.connect(site, what);
  }
  const auto first = it.submit(RunningJob::three_site_spec());
  const auto second = it.submit(RunningJob::three_site_spec());
  it.ask(it.alice, msg::PauseJob{first, ""});
  it.ask(it.alice, msg::AbortJob{it.id, ""});
  EXPECT_EQ(it.state(first), JobState::paused);
  EXPECT_EQ(it.state(second), JobState::matching);
  it.ask(it.alice, msg::ResumeJob{first});
  EXPECT_EQ(it.state(first), JobState::queued);
}

TEST(Pausing, ASiteThatHadNotAnsweredIsAskedAgainWhenTheJobIsResumed) {
  Scenario it;
  const auto alice = it.connect(Role::coordinator, "alice");
  auto north = it.connect("north");
  const auto id = it.submit(small_spec());
  it.ask(alice, msg::PauseJob{id, ""});
  it.on(SessionClosed{north});
  north = it.open(Role::site, "north");
  it.hello(north);
  EXPECT_TRUE(sent<msg::JobOffer>(it.hear(north, msg::Advert{advert()}), north).empty())
      << "not while it is paused";
  EXPECT_EQ(sent<msg::JobOffer>(it.ask(alice, msg::ResumeJob{id}), north).size(), 1U);
  it.accept(north, id);
  EXPECT_EQ(it.state(id), JobState::running);
}

TEST(Pausing, GoesOnAtOtherSitesWhenItsOwnAreGone) {
  auto spec = small_spec();
  spec.sites.min = 2;
  spec.sites.max = 2;
  Scenario it;
  const auto alice = it.connect(Role::coordinator, "alice");
  const auto east = it.connect("east");
  const auto north = it.connect("north");
  const auto id = it.submit(spec);
  it.accept(east, id);
  it.accept(north, id);
  it.deliver(east, key(id, 0, TaskKind::initialize, "east"), blob(100));
  it.deliver(east, key(id, 1, TaskKind::train, "east"), blob(1));
  it.ask(alice, msg::PauseJob{id, ""});
  it.on(SessionClosed{north});
  it.connect("aachen");
  const auto south = it.connect("south");
  it.ask(alice, msg::ResumeJob{id});
  EXPECT_EQ(it.core.state().sites.at(SiteId::literal("east")).claimed, 1U)
      << "the site that it had, although others come first by name";
  EXPECT_EQ(it.state(id), JobState::matching);
  EXPECT_EQ(it.store.task(key(id, 1, TaskKind::train, "north"))->state, TaskState::pending);
  const auto aachen = *it.core.state().sites.at(SiteId::literal("aachen")).session;
  const auto effects = it.accept(aachen, id);
  EXPECT_EQ(it.state(id), JobState::running);
  EXPECT_EQ(it.store.task(key(id, 1, TaskKind::train, "north"))->state, TaskState::lost);
  ASSERT_EQ(sent<msg::TaskOffer>(effects, aachen).size(), 1U);
  EXPECT_TRUE(sent<msg::TaskOffer>(effects, south).empty());
  EXPECT_EQ(all<StartMerge>(it.deliver(aachen, key(id, 1, TaskKind::train, "aachen"), blob(2)))
                .at(0)
                .updates.size(),
            2U);
}

TEST(Pausing, IsForTheJobsCoordinatorAndOperators) {
  Paused it;
  const auto auditor = it.connect(Role::auditor, "olga");
  EXPECT_EQ(it.refusal(auditor, msg::PauseJob{it.id, ""}).code, "not_authorised");
  EXPECT_TRUE(it.store.audited("request.deny", "auditor/olga"));
  const auto bob = it.connect(Role::coordinator, "bob");
  EXPECT_EQ(it.refusal(bob, msg::PauseJob{it.id, ""}).code, "job_unknown");
  EXPECT_EQ(it.state(it.id), JobState::running);
  it.ask(it.connect(Role::operator_, "mary"), msg::PauseJob{it.id, ""});
  EXPECT_EQ(it.state(it.id), JobState::paused);
  EXPECT_TRUE(it.store.audited("job.pause", "operator/mary"));
  it.resume();
  EXPECT_TRUE(it.store.audited("job.resume", "coordinator/alice"));
  it.ask(it.alice, msg::AbortJob{it.id, ""});
  EXPECT_EQ(it.refusal(it.alice, msg::PauseJob{it.id, ""}).code, "job_ended");
}

TEST(Pausing, APausedJobMayBeAborted) {
  Paused it;
  it.pause();
  const auto effects = it.ask(it.alice, msg::AbortJob{it.id, "no longer needed"});
  EXPECT_EQ(it.state(it.id), JobState::aborted);
  EXPECT_EQ(sent<msg::JobClosed>(effects, it.east).size(), 1U);
}

TEST(Pausing, IsSaidWithWhoAndWhyAndWhatToDo) {
  Paused it;
  it.pause("a new scanner");
  const auto view = std::get<JobView>(it.answer(it.alice, msg::ShowJob{it.id}));
  EXPECT_EQ(view.summary.state, JobState::paused);
  EXPECT_EQ(view.summary.reason, "by coordinator/alice: a new scanner");
  const auto explained = std::get<Explanation>(it.answer(it.alice, msg::ExplainJob{it.id}));
  EXPECT_EQ(explained.sentence, "is paused by coordinator/alice: a new scanner");
  EXPECT_THAT(explained.changes, testing::ElementsAre(HasSubstr("entente job resume lung-1")));
}

TEST(Pausing, ADrainingSiteHasNothingToFinishForIt) {
  Paused it;
  const auto mary = it.connect(Role::operator_, "mary");
  it.ask(mary, msg::DrainSite{SiteId::literal("east"), ""});
  it.pause();
  const auto sites = std::get<std::vector<SiteView>>(it.answer(mary, msg::ListSites{}));
  EXPECT_EQ(sites.at(0).open_tasks, 0U);
}

}  // namespace
}  // namespace entente::broker
