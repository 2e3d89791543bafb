// How jobs wait for sites, and come to them.
#include "broker/core/queue.h"

#include <gmock/gmock.h>

#include "tests/unit/broker_core/scenario.h"

namespace entente::broker {
namespace {

using testing::HasSubstr;

const Millis kWindow = small_spec().stall_window;

SiteAdvert one_slot() {
  auto what = advert();
  what.slots = 1;
  return what;
}

// East and north have a slot each.
struct TwoSlots : Scenario {
  SessionId east = connect("east", one_slot());
  SessionId north = connect("north", one_slot());

  JobId submit_as(const std::string& coordinator, const JobSpec& spec) {
    const auto reply = answer(connect(Role::coordinator, coordinator), msg::SubmitJob{spec, {}});
    return std::get<JobSummary>(reply).id;
  }
  static JobSpec for_sites(std::uint32_t min, std::uint32_t max = 0) {
    auto spec = small_spec();
    spec.sites.min = min;
    spec.sites.max = max;
    return spec;
  }
  void start(const JobId& id) {
    accept(east, id);
    accept(north, id);
  }
  Effects abort(const JobId& id) {
    return ask(connect(Role::operator_, "mary"), msg::AbortJob{id, ""});
  }
  std::uint32_t claimed(const std::string& site) const {
    return core.state().sites.at(SiteId::literal(site)).claimed;
  }
  std::string reason(const JobId& id) {
    const auto view = answer(connect(Role::operator_, "mary"), msg::ShowJob{id});
    return std::get<JobView>(view).summary.reason;
  }
};

TEST(Queue, TwoJobsOnSitesOfOneSlotRunOneAfterTheOther) {
  TwoSlots it;
  const auto first = it.submit(TwoSlots::for_sites(2));
  const auto second = it.submit(TwoSlots::for_sites(2));
  it.start(first);
  EXPECT_EQ(it.state(first), JobState::running);
  EXPECT_EQ(it.state(second), JobState::queued);
  EXPECT_TRUE(it.job(second).parts.empty());
  EXPECT_EQ(it.reason(second), "needs 2 sites at once; 0 of those that are there have a free slot");
  const auto effects = it.abort(first);
  EXPECT_EQ(it.state(second), JobState::matching);
  EXPECT_EQ(sent<msg::JobOffer>(effects, it.east).size(), 1U);
}

TEST(Queue, AJobThatIsShortOfSitesGivesBackWhatItHolds) {
  TwoSlots it;
  it.on(SessionClosed{it.connect("south", one_slot())});
  const auto id = it.submit(TwoSlots::for_sites(2));
  it.accept(it.east, id);
  it.decline(it.north, id, "not our field");
  EXPECT_EQ(it.state(id), JobState::queued) << "south may come back";
  EXPECT_EQ(it.claimed("east"), 0U);
  const auto other = it.submit(TwoSlots::for_sites(1, 1));
  EXPECT_EQ(it.state(other), JobState::matching) << "it need not wait for south";
}

TEST(Queue, ADeclineFreesTheSlotForTheNextJob) {
  TwoSlots it;
  const auto first = it.submit(TwoSlots::for_sites(1));
  const auto second = it.submit(TwoSlots::for_sites(1));
  EXPECT_EQ(it.state(second), JobState::queued);
  const auto effects = it.decline(it.east, first, "not our field");
  EXPECT_EQ(sent<msg::JobOffer>(effects, it.east).size(), 1U);
  EXPECT_EQ(it.state(second), JobState::matching);
}

TEST(Queue, ClaimsOutliveARestart) {
  TwoSlots it;
  const auto first = it.submit(TwoSlots::for_sites(2));
  const auto second = it.submit(TwoSlots::for_sites(2));
  it.start(first);
  it.restart();
  EXPECT_EQ(it.claimed("east"), 1U);
  it.connect("east", one_slot());
  it.connect("north", one_slot());
  EXPECT_EQ(it.state(second), JobState::queued);
}

TEST(Queue, AgeOutlivesARestartAndAChangeOfTheWallClock) {
  TwoSlots it;
  const auto running = it.submit(TwoSlots::for_sites(2));
  it.start(running);
  const auto older = it.submit(TwoSlots::for_sites(2));
  it.now.unix_ms -= 1'000'000'000;
  const auto younger = it.submit(TwoSlots::for_sites(2));
  it.restart();
  it.connect("east", one_slot());
  it.connect("north", one_slot());
  it.abort(running);
  EXPECT_EQ(it.state(older), JobState::matching);
  EXPECT_EQ(it.state(younger), JobState::queued);
}

TEST(Queue, WhoHasUsedLessGoesFirstAlsoAfterARestart) {
  TwoSlots it;
  const auto running = it.submit_as("alice", TwoSlots::for_sites(2));
  it.start(running);
  const auto of_alice = it.submit_as("alice", TwoSlots::for_sites(2));
  const auto of_bob = it.submit_as("bob", TwoSlots::for_sites(2));
  it.wait(std::chrono::minutes(4));
  it.restart();
  it.connect("east", one_slot());
  it.connect("north", one_slot());
  it.abort(running);
  EXPECT_EQ(it.state(of_bob), JobState::matching);
  EXPECT_EQ(it.state(of_alice), JobState::queued);
}

TEST(Queue, UseIsChargedWhileSlotsAreHeldAndFadesWithItsHalfLife) {
  Usage usage{{"alice", 0}, Monotonic{}, 2, 1};
  const Millis half_life = std::chrono::hours(1);
  settle(usage, Monotonic{std::chrono::seconds(10)}, half_life);
  EXPECT_NEAR(usage.row.site_seconds, 20, 0.1);
  usage.slots = 0;
  const auto had = usage.row.site_seconds;
  EXPECT_NEAR(usage_at(usage, usage.as_of + half_life, half_life), had / 2, 1e-9);
}

TEST(Queue, APlaceThatBecomesVacantClaimsASlotFirst) {
  TwoSlots it;
  const auto first = it.submit(TwoSlots::for_sites(2, 2));
  it.start(first);
  it.deliver(it.east, key(first, 0, TaskKind::initialize, "east"), blob(100));
  const auto south = it.connect("south", one_slot());
  const auto second = it.submit(TwoSlots::for_sites(1, 1));
  it.accept(south, second);
  EXPECT_EQ(it.state(second), JobState::running) << "it has south";
  it.deliver(it.east, key(first, 1, TaskKind::train, "east"), blob(1));
  EXPECT_TRUE(sent<msg::JobOffer>(it.wait(kWindow), south).empty()) << "south has no slot left";
  EXPECT_EQ(sent<msg::JobOffer>(it.abort(second), south).size(), 1U);
}

TEST(Queue, WhoHasFailedInOneRoundMayTakeAVacantPlaceInTheNext) {
  const TaskFailure for_good{{"broken", "no disk", "", {}}, false};
  TwoSlots it;
  const auto south = it.connect("south", one_slot());
  auto spec = TwoSlots::for_sites(2, 2);
  spec.sites.quorum = 1;
  const auto id = it.submit(spec);
  it.start(id);
  it.deliver(it.east, key(id, 0, TaskKind::initialize, "east"), blob(100));
  it.hear(it.north, msg::TaskFailed{key(id, 1, TaskKind::train, "north"), for_good});
  it.accept(south, id);
  ASSERT_TRUE(it.store.part(id, SiteId::literal("south"))->has_place);
  ASSERT_FALSE(it.store.part(id, SiteId::literal("north"))->has_place) << "it stands by";
  it.deliver(south, key(id, 1, TaskKind::train, "south"), blob(2));
  it.ask(it.connect(Role::operator_, "mary"), msg::DrainSite{SiteId::literal("south"), ""});
  EXPECT_EQ(it.claimed("north"), 0U) << "it has failed in this round";
  it.deliver(it.east, key(id, 1, TaskKind::train, "east"), blob(1));
  it.merged(id, 1, blob(101));
  EXPECT_NE(it.store.task(key(id, 2, TaskKind::train, "north")), nullptr);
}

TEST(Queue, CoordinatorsMayLowerAPriorityAndOperatorsRaiseIt) {
  TwoSlots it;
  auto spec = TwoSlots::for_sites(1);
  spec.priority = 1;
  const auto refusal = it.refusal(it.connect(Role::coordinator, "alice"), msg::SubmitJob{spec, {}});
  EXPECT_EQ(refusal.code, "priority_too_high");
  EXPECT_THAT(refusal.hint, HasSubstr("operator"));
  const auto raised = it.answer(it.connect(Role::operator_, "mary"), msg::SubmitJob{spec, {}});
  EXPECT_TRUE(std::holds_alternative<JobSummary>(raised));
  spec.priority = -100;
  it.submit(spec);
}

}  // namespace
}  // namespace entente::broker
