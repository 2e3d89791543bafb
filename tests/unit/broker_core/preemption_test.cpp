// Jobs that give way to others of a higher priority.
#include "broker/core/preemption.h"

#include <gmock/gmock.h>

#include "tests/unit/broker_core/pool.h"
#include "tests/unit/broker_core/scenario.h"

namespace entente::broker {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::vector<std::size_t> yields(const Pool& pool) { return pool.plan().yields; }

Applicant& add(Pool& pool, std::uint32_t need, std::vector<SiteIndex> candidates,
               std::int32_t priority = 5) {
  auto& job = pool.add("alice", need, need, std::move(candidates));
  job.priority = priority;
  return job;
}

TEST(Preemption, AsksOnlyJobsOfALowerPriority) {
  Pool pool({0, 0});
  add(pool, 1, {0, 1}, 5);
  pool.add_tenant(5, {0});
  EXPECT_THAT(yields(pool), IsEmpty());
  pool.add_tenant(4, {1});
  EXPECT_THAT(yields(pool), ElementsAre(1));
}

TEST(Preemption, AsksTheLowestPriorityFirstAndOfThoseTheYoungest) {
  Pool pool({0, 0, 0});
  add(pool, 1, {0, 1, 2});
  pool.add_tenant(0, {0});
  pool.add_tenant(-1, {1});
  pool.add_tenant(-1, {2});
  EXPECT_THAT(yields(pool), ElementsAre(2));
}

TEST(Preemption, AsksNobodyWhenAllTogetherAreNotEnough) {
  Pool pool({0, 0, 0});
  add(pool, 3, {0, 1, 2});
  pool.add_tenant(0, {0, 1});
  EXPECT_THAT(yields(pool), IsEmpty());
}

TEST(Preemption, LetsThoseOffThatTurnOutNotToBeNeeded) {
  Pool pool({0, 0});
  add(pool, 2, {0, 1});
  pool.add_tenant(-1, {0});
  pool.add_tenant(0, {0, 1});
  EXPECT_THAT(yields(pool), ElementsAre(1)) << "it frees both sites";
}

TEST(Preemption, AsksNobodyWhoseSlotsAreOfNoUse) {
  Pool pool({1, 0, 0});
  add(pool, 2, {0, 1});
  pool.add_tenant(-1, {0, 2});
  EXPECT_THAT(yields(pool), IsEmpty());
}

TEST(Preemption, FreesTheMandatorySite) {
  Pool pool({0, 1});
  add(pool, 1, {0, 1}).mandatory = 1;
  pool.add_tenant(0, {0});
  EXPECT_THAT(yields(pool), ElementsAre(0));
}

TEST(Preemption, TheReservationLiesOnTheSitesThatComeFree) {
  Pool pool({0, 0, 1});
  add(pool, 2, {0, 1, 2});
  pool.add_tenant(0, {1});
  EXPECT_THAT(pool.plan().waiting.at(0).reserved, ElementsAre(2, 1));
}

TEST(Preemption, OnlyTheJobThatHoldsTheReservationIsGivenWayTo) {
  Pool pool({0, 0, 0});
  add(pool, 3, {0, 1, 2}, 9);
  add(pool, 1, {0, 1, 2}, 5);
  pool.add_tenant(0, {0});
  EXPECT_THAT(yields(pool), IsEmpty())
      << "the first one could not start, and nobody goes around it";
}

SiteAdvert one_slot() {
  auto what = advert();
  what.slots = 1;
  return what;
}

JobSpec of_priority(std::int32_t priority, std::uint32_t rounds = 3) {
  auto spec = small_spec(rounds);
  spec.sites.min = 2;
  spec.priority = priority;
  return spec;
}

// A preemptible job holds both slots and trains round 1; an urgent one waits.
struct Preempted : Scenario {
  SessionId east = connect("east", one_slot());
  SessionId north = connect("north", one_slot());
  SessionId mary = connect(Role::operator_, "mary");
  JobId bulk = start_bulk();
  JobId urgent = submit_urgent();

  JobId start_bulk() {
    auto spec = of_priority(-10);
    spec.preemptible = true;
    const auto id = submit(spec);
    accept(east, id);
    accept(north, id);
    deliver(east, key(id, 0, TaskKind::initialize, "east"), blob(100));
    return id;
  }
  JobId submit_urgent() {
    return std::get<JobSummary>(answer(mary, msg::SubmitJob{of_priority(10, 1), {}})).id;
  }
  Effects finish_round(const JobId& id, Round round, std::uint8_t model) {
    deliver(east, key(id, round, TaskKind::train, "east"), blob(1));
    deliver(north, key(id, round, TaskKind::train, "north"), blob(2));
    return merged(id, round, blob(model));
  }
  void run_urgent() {
    accept(east, urgent);
    accept(north, urgent);
    deliver(east, key(urgent, 0, TaskKind::initialize, "east"), blob(200));
    finish_round(urgent, 1, 201);
  }
};

TEST(Preemption, HappensWhenTheRoundHasEndedAndNotBefore) {
  Preempted it;
  EXPECT_EQ(it.state(it.bulk), JobState::running);
  EXPECT_EQ(it.state(it.urgent), JobState::queued);
  const auto effects = it.finish_round(it.bulk, 1, 101);
  EXPECT_EQ(it.store.round(it.bulk, 1)->state, RoundState::done);
  EXPECT_EQ(it.state(it.bulk), JobState::queued);
  EXPECT_EQ(it.state(it.urgent), JobState::matching);
  EXPECT_EQ(sent<msg::JobPaused>(effects, it.east).size(), 1U);
  EXPECT_TRUE(it.store.audited("job.give_way", "broker"));
  EXPECT_EQ(it.store.events(it.bulk).back().kind, JobEventKind::queued);
}

TEST(Preemption, TheJobGoesOnByItselfWithTheNextRound) {
  Preempted it;
  it.finish_round(it.bulk, 1, 101);
  it.run_urgent();
  EXPECT_EQ(it.state(it.urgent), JobState::completed);
  EXPECT_EQ(it.state(it.bulk), JobState::running);
  EXPECT_NE(it.store.task(key(it.bulk, 2, TaskKind::train, "east")), nullptr);
  it.finish_round(it.bulk, 2, 102);
  EXPECT_EQ(it.state(it.bulk), JobState::running) << "nobody else wants the slots";
}

TEST(Preemption, EndsAnotherRoundEachTimeBeforeItGivesWayAgain) {
  Preempted it;
  it.finish_round(it.bulk, 1, 101);
  it.run_urgent();
  const auto second = it.submit_urgent();
  EXPECT_EQ(it.state(second), JobState::queued);
  EXPECT_EQ(it.state(it.bulk), JobState::running);
  it.finish_round(it.bulk, 2, 102);
  EXPECT_EQ(it.state(second), JobState::matching);
}

TEST(Preemption, IsCalledOffWithTheJobThatNeededIt) {
  Preempted it;
  it.ask(it.mary, msg::AbortJob{it.urgent, ""});
  it.finish_round(it.bulk, 1, 101);
  EXPECT_EQ(it.state(it.bulk), JobState::running);
}

TEST(Preemption, OutlivesARestart) {
  Preempted it;
  it.deliver(it.east, key(it.bulk, 1, TaskKind::train, "east"), blob(1));
  it.restart();
  it.east = it.connect("east", one_slot());
  it.north = it.connect("north", one_slot());
  it.deliver(it.north, key(it.bulk, 1, TaskKind::train, "north"), blob(2));
  it.merged(it.bulk, 1, blob(101));
  EXPECT_EQ(it.state(it.bulk), JobState::queued);
  EXPECT_EQ(it.state(it.urgent), JobState::matching);
}

TEST(Preemption, IsSaidOnBothSides) {
  Preempted it;
  const auto explain = [&it](const JobId& id) {
    return std::get<Explanation>(it.answer(it.mary, msg::ExplainJob{id}));
  };
  EXPECT_EQ(explain(it.bulk).sentence,
            "runs at east and north; gives way to lung-2 after this round");
  EXPECT_THAT(explain(it.urgent).changes,
              ElementsAre(HasSubstr("lung-1 must end its round and gives way")));
  const auto view = std::get<JobView>(it.answer(it.mary, msg::ShowJob{it.bulk}));
  EXPECT_EQ(view.summary.reason, "gives way to lung-2 after this round");
}

}  // namespace
}  // namespace entente::broker
