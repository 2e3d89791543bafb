// Schedules worth naming. Each is one run of a calm consortium in which exactly one thing goes
// wrong; the promises are held against every step of it as in the random runs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/simulation/fake_training.h"
#include "tests/simulation/simulation.h"

namespace entente::simulation {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;

const std::string kJob = "lung-1";

Plan calm_plan(std::uint32_t quorum) {
  Plan plan;
  plan.seed = 7;
  for (const auto* name : {"east", "north", "south"}) {
    SitePlan site;
    site.id = SiteId::literal(name);
    site.training_max = seconds(10);
    plan.sites.push_back(site);
  }
  JobPlan job;
  job.spec = small_spec("lung", 3);
  job.spec.sites.min = 3;
  job.spec.sites.quorum = quorum;
  job.submitted_after = seconds(10);
  plan.jobs.push_back(job);
  return plan;
}

struct Schedule : testing::Test, Simulation {
  explicit Schedule(Plan what = calm_plan(3)) : Simulation(std::move(what)) {}

  // The job has trained everywhere, once per round and site, and its model is the right one.
  void expect_undisturbed() {
    run();
    EXPECT_EQ(state(kJob), JobState::completed);
    EXPECT_EQ(final_model(kJob), undisturbed_model(plan.jobs[0].spec, willing_sites(plan)));
  }
  void expect_trained_once() {
    for (const auto& one : sites) {
      for (Round round = 1; round <= plan.jobs[0].spec.rounds; ++round) {
        EXPECT_EQ(one.runs(TaskKind::train, round), 1U) << one.plan().id.str() << " " << round;
      }
    }
  }
  void run_until_round(Round round) {
    run_until([&] { return disk.rounds.contains({JobId::literal(kJob), round}); });
  }
  static TaskKey train(const std::string& site, Round round, Attempt attempt) {
    return {JobId::literal(kJob), round, TaskKind::train, SiteId::literal(site), attempt};
  }
  // And `only` knows it; the others still hang.
  void run_until_accepted(const std::string& only, Round round) {
    run_until_round(round);
    for (auto& one : sites) {
      one.hang_trainers(one.plan().id.str() != only);
    }
    run_until([&] {
      const auto task = disk.tasks.find(train(only, round, 1));
      return task != disk.tasks.end() && task->second.state == TaskState::done &&
             site(only).disk().outbox.empty();
    });
    for (auto& one : sites) {
      one.hang_trainers(false);
      one.end_faults();
    }
  }
  void pass(Millis time) {
    const auto until = world.timeline.now() + time;
    run_until([&] { return world.timeline.now() >= until; });
  }
};

// East, north and south have the places; west stands by.
struct ThreeOfFour : Schedule {
  ThreeOfFour() : Schedule(plan_with_west()) {}
  static Plan plan_with_west() {
    auto plan = calm_plan(3);
    plan.sites.push_back(plan.sites[0]);
    plan.sites.back().id = SiteId::literal("west");
    plan.jobs[0].spec.sites.max = 3;
    return plan;
  }
};

struct QuorumOfTwo : Schedule {
  QuorumOfTwo() : Schedule(calm_plan(2)) {}
};

bool accepts_an_update(const broker::Action& action) {
  const auto* send = std::get_if<broker::Send>(&action);
  const auto* verdict = send == nullptr ? nullptr : std::get_if<msg::ResultVerdict>(&send->message);
  return verdict != nullptr && !verdict->refusal && verdict->key.kind == TaskKind::train;
}

// Kills the broker the first time that a step which accepts an update gets to `moment`.
auto at_an_accepted_update(Moment moment, int& times) {
  return
      [moment, &times](Moment now, const broker::Effects& effects, const broker::Action* action) {
        const bool is_it =
            now == moment &&
            (action != nullptr
                 ? accepts_an_update(*action)
                 : std::any_of(effects.actions.begin(), effects.actions.end(), accepts_an_update));
        return is_it && times++ == 0;
      };
}

// Kills an agent the first time that a step which keeps an update gets to `moment`.
auto at_a_kept_update(Moment moment, int& times) {
  return [moment, &times](Moment now, const agent::Effects& effects, const agent::Effect*) {
    const bool is_it =
        now == moment && std::any_of(effects.begin(), effects.end(), [](const auto& effect) {
          const auto* save = std::get_if<agent::effect::SaveResult>(&effect);
          return save != nullptr && save->entry.order.key.kind == TaskKind::train;
        });
    return is_it && times++ == 0;
  };
}

TEST_F(Schedule, WithoutFaultsEverySiteTrainsEveryRoundOnce) {
  expect_undisturbed();
  expect_trained_once();
}

TEST_F(Schedule, ABrokerThatDiesBeforeItCommitsAnUpdateAsksForItAgain) {
  int deaths = 0;
  broker.dies_at = at_an_accepted_update(Moment::before_commit, deaths);
  expect_undisturbed();
  EXPECT_GE(deaths, 1);
  expect_trained_once();
}

TEST_F(Schedule, ABrokerThatDiesBetweenAcceptingAnUpdateAndItsVerdictRemembersIt) {
  int deaths = 0;
  broker.dies_at = at_an_accepted_update(Moment::after_commit, deaths);
  expect_undisturbed();
  EXPECT_GE(deaths, 1);
  expect_trained_once();
}

TEST_F(Schedule, AnAgentThatDiesAfterTheOutboxWriteDoesNotTrainAgain) {
  int deaths = 0;
  site("east").dies_at = at_a_kept_update(Moment::after_commit, deaths);
  expect_undisturbed();
  EXPECT_GE(deaths, 1);
  expect_trained_once();
}

TEST_F(Schedule, AnAgentThatDiesBeforeTheOutboxWriteTrainsAgain) {
  int deaths = 0;
  site("east").dies_at = at_a_kept_update(Moment::before_commit, deaths);
  expect_undisturbed();
  EXPECT_GE(deaths, 1);
  EXPECT_EQ(site("east").runs(TaskKind::train, 1), 2U);
}

TEST_F(Schedule, AVerdictThatIsLostIsGivenAgainToTheDuplicateAnnouncement) {
  int verdicts = 0;
  broker.dies_at = [&](Moment, const broker::Effects&, const broker::Action* action) {
    if (action != nullptr && accepts_an_update(*action) && verdicts++ == 0) {
      network.cut_all();
    }
    return false;
  };
  expect_undisturbed();
  EXPECT_GT(verdicts, 9);  // three rounds of three sites, and one said twice
  expect_trained_once();
}

TEST_F(Schedule, ABrokerThatDiesWhileMergingMergesAgain) {
  int merges = 0;
  broker.dies_at = [&](Moment, const broker::Effects&, const broker::Action* action) {
    return action != nullptr && std::holds_alternative<broker::StartMerge>(*action) &&
           merges++ == 0;
  };
  expect_undisturbed();
  EXPECT_EQ(merges, 4);
  expect_trained_once();
}

TEST_F(Schedule, ASiteThatIsAwayWhenARoundStartsTakesPartWhenItReturns) {
  run_until_round(1);
  network.partition(site("north"));
  pass(2 * plan.jobs[0].spec.stall_window);
  EXPECT_FALSE(disk.rounds.contains({JobId::literal(kJob), 2})) << "closed below its quorum";
  network.heal(site("north"));
  expect_undisturbed();
}

// East joins the open round, which lacks it; the next one has its quorum before north is back.
TEST_F(QuorumOfTwo, TwoSitesThatSwapTheirAbsenceAreWaitedForOnlyWhereTheyAreNeeded) {
  run_until_round(1);
  network.partition(site("east"));
  run_until_round(2);
  network.heal(site("east"));
  network.partition(site("north"));
  run_until([&] {
    const auto third = disk.rounds.find({JobId::literal(kJob), 3});
    return third != disk.rounds.end() && third->second.state == RoundState::done;
  });
  network.heal(site("north"));
  run();
  EXPECT_THAT(contributors(kJob, 1), ElementsAre("north", "south"));
  EXPECT_THAT(contributors(kJob, 2), ElementsAre("east", "south"));
  EXPECT_THAT(contributors(kJob, 3), ElementsAre("east", "south"));
}

TEST_F(QuorumOfTwo, ATrainerThatHangsCostsItsSiteTheRoundAndNoMore) {
  site("south").hang_trainers(true);
  run_until_round(2);
  site("south").hang_trainers(false);
  run();
  EXPECT_THAT(contributors(kJob, 1), ElementsAre("east", "north"));
  EXPECT_THAT(contributors(kJob, 2), ElementsAre("east", "north", "south"));
}

TEST_F(Schedule, ASessionThatReturnsBeforeItsEndIsNoticedSupersedesTheOldOne) {
  int superseded = 0;
  broker.dies_at = [&](Moment, const broker::Effects&, const broker::Action* action) {
    superseded += action != nullptr && std::holds_alternative<broker::CloseSession>(*action);
    return false;
  };
  // Who is first, the site that is back or the news of its end, differs from cut to cut.
  for (int cut = 0; cut < 100 && superseded == 0; ++cut) {
    pass(seconds(8));
    network.cut(site("east"));
  }
  expect_undisturbed();
  EXPECT_GE(superseded, 1);
}

TEST_F(Schedule, ASiteForgetsAnEndedJobThoughTheWordOfItWasLost) {
  int closed = 0;
  broker.dies_at = [&](Moment, const broker::Effects&, const broker::Action* action) {
    const auto* send = action == nullptr ? nullptr : std::get_if<broker::Send>(action);
    if (send != nullptr && std::holds_alternative<msg::JobClosed>(send->message) && closed++ == 0) {
      network.cut_all();
    }
    return false;
  };
  expect_undisturbed();  // which also waits for the sites to forget
  EXPECT_GT(closed, 1);
}

// Longer than a stall window: everybody has lost its session, and nobody is blamed.
TEST_F(Schedule, ABrokerThatSleepsLongerThanAStallWindowBlamesNobodyForIt) {
  run_until_round(1);
  broker.sleep(3 * plan.jobs[0].spec.stall_window);
  expect_undisturbed();
  expect_trained_once();
  EXPECT_EQ(events(JobEventKind::task_lost), 0U);
}

TEST_F(Schedule, AnUpdateThatIsDamagedBeforeItsMergeIsAskedForAgainUnderANewAttempt) {
  run_until_accepted("east", 1);
  ASSERT_TRUE(damage_update());
  expect_undisturbed();
  EXPECT_EQ(updates_lost_to_damage(), 1U);
  EXPECT_EQ(site("east").runs(TaskKind::train, 1), 2U);
  EXPECT_EQ(disk.tasks.at(train("east", 1, 1)).state, TaskState::lost);
  EXPECT_EQ(disk.tasks.at(train("east", 1, 2)).state, TaskState::done);
}

TEST_F(Schedule, AnUpdateThatIsFoundDamagedAtAStartIsAskedForAgain) {
  run_until_accepted("east", 1);
  ASSERT_TRUE(damage_update());
  broker.crash(seconds(5));
  expect_undisturbed();
  EXPECT_EQ(updates_lost_to_damage(), 1U);
  EXPECT_EQ(site("east").runs(TaskKind::train, 1), 2U);
}

TEST_F(Schedule, AModelThatIsDamagedFailsItsJobWithThatReason) {
  run_until_accepted("east", 2);
  ASSERT_TRUE(damage_model());
  run();
  EXPECT_EQ(state(kJob), JobState::failed);
  EXPECT_THAT(disk.jobs.at(JobId::literal(kJob)).reason, HasSubstr(std::string(kDamaged)));
  EXPECT_FALSE(disk.models.contains({JobId::literal(kJob), 2}));
}

TEST_F(Schedule, ASiteThatDrainsFinishesItsTaskAndTheJobWaitsUntilItIsResumed) {
  run_until_round(1);
  mary.drain(SiteId::literal("north"));
  pass(3 * plan.jobs[0].spec.stall_window);
  EXPECT_THAT(contributors(kJob, 1), ElementsAre("east", "north", "south"));
  EXPECT_FALSE(disk.models.contains({JobId::literal(kJob), 2}));
  broker.crash(seconds(5));
  pass(minutes(2));
  EXPECT_FALSE(disk.models.contains({JobId::literal(kJob), 2})) << "it drains across a restart";
  mary.resume(SiteId::literal("north"));
  expect_undisturbed();
  expect_trained_once();
}

TEST_F(ThreeOfFour, ASiteThatDrainsIsReplacedByTheOneThatStandsBy) {
  run_until_round(1);
  mary.drain(SiteId::literal("north"));
  run();
  EXPECT_THAT(contributors(kJob, 1), ElementsAre("east", "north", "south"));
  EXPECT_THAT(contributors(kJob, 2), ElementsAre("east", "south", "west"));
  EXPECT_THAT(contributors(kJob, 3), ElementsAre("east", "south", "west"));
}

TEST_F(ThreeOfFour, ASiteThatIsGoneIsReplacedInTheSameRoundAndStandsByWhenItIsBack) {
  run_until_round(2);
  site("south").crash(3 * plan.jobs[0].spec.stall_window);
  run();
  EXPECT_THAT(contributors(kJob, 1), ElementsAre("east", "north", "south"));
  EXPECT_THAT(contributors(kJob, 2), ElementsAre("east", "north", "west"));
  EXPECT_THAT(contributors(kJob, 3), ElementsAre("east", "north", "west"));
  EXPECT_EQ(events(JobEventKind::site_replaced), 1U);
}

TEST_F(Schedule, ASiteThatLosesItsDiskIsAskedToJoinAnew) {
  run_until_round(2);
  site("east").crash(seconds(5));
  site("east").lose_disk();
  expect_undisturbed();
  EXPECT_EQ(disk.tasks.at(train("east", 2, 1)).state, TaskState::lost);
  EXPECT_EQ(disk.tasks.at(train("east", 2, 2)).state, TaskState::done);
}

TEST(Seed, RepeatsItsRunEventByEvent) {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    Simulation first(plan_of(seed));
    Simulation second(plan_of(seed));
    for (auto* simulation : {&first, &second}) {
      simulation->world.trace.is_on = true;
      simulation->let_the_adversary_loose();
      simulation->run();
    }
    EXPECT_EQ(first.world.trace.lines(), second.world.trace.lines()) << "seed " << seed;
  }
}

}  // namespace
}  // namespace entente::simulation
