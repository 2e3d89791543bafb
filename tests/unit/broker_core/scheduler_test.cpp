// The rules by which jobs come to their sites, one at a time.
#include "broker/core/scheduler.h"

#include <gmock/gmock.h>

#include "tests/unit/broker_core/pool.h"

namespace entente::broker {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using Sites = std::vector<SiteIndex>;

// The jobs that may claim now, by their number, in order.
std::vector<std::size_t> claiming(const Plan& plan) {
  std::vector<std::size_t> jobs;
  for (const auto& claims : plan.claims) {
    jobs.push_back(claims.applicant + 1);
  }
  return jobs;
}

TEST(Scheduler, TheHigherPriorityGoesFirst) {
  Pool pool({1});
  pool.add("alice", 1, 1, {0});
  pool.add("bob", 1, 1, {0}).priority = 5;
  EXPECT_THAT(claiming(pool.plan()), ElementsAre(2));
}

TEST(Scheduler, AmongEqualsWhoHasUsedLeastGoesFirst) {
  Pool pool({1});
  pool.accounts["alice"].usage = 10;
  pool.add("alice", 1, 1, {0});
  pool.add("bob", 1, 1, {0});
  EXPECT_THAT(claiming(pool.plan()), ElementsAre(2));
}

TEST(Scheduler, OfOneCoordinatorsJobsTheOlderGoesFirst) {
  Pool pool({1});
  pool.add("alice", 1, 1, {0}).number = 9;
  pool.add("alice", 1, 1, {0}).number = 8;
  EXPECT_THAT(claiming(pool.plan()), ElementsAre(2));
}

TEST(Scheduler, WhatWasClaimedAMomentAgoCounts) {
  Pool pool({1, 1, 1, 1});
  for (SiteIndex site = 0; site < 4; ++site) {
    pool.add("alice", 1, 1, {0, 1, 2, 3});
  }
  pool.add("bob", 1, 1, {0, 1, 2, 3});
  pool.add("bob", 1, 1, {0, 1, 2, 3});
  EXPECT_THAT(claiming(pool.plan()), ElementsAre(1, 5, 2, 6)) << "not all of alice's first";
}

TEST(Scheduler, AJobClaimsAllThatItNeedsOrNothing) {
  Pool pool({1, 1, 0});
  pool.add("alice", 3, 3, {0, 1, 2});
  const auto plan = pool.plan();
  EXPECT_THAT(plan.claims, IsEmpty());
  ASSERT_EQ(plan.waiting.size(), 1U);
  EXPECT_EQ(plan.waiting[0].wait, (Wait{WaitsFor::slots, 3, 2}));
}

TEST(Scheduler, AJobTakesUpToWhatItWantsInItsOrderOfPreference) {
  Pool pool({1, 0, 1, 1});
  pool.add("alice", 1, 2, {3, 1, 2, 0});
  const auto plan = pool.plan();
  ASSERT_EQ(plan.claims.size(), 1U);
  EXPECT_EQ(plan.claims[0].sites, (Sites{3, 2}));
}

TEST(Scheduler, MandatorySitesAreAmongTheClaims) {
  Pool pool({0, 1, 1});
  pool.add("alice", 2, 2, {0, 1, 2}).mandatory = 1;
  const auto plan = pool.plan();
  EXPECT_THAT(plan.claims, IsEmpty());
  EXPECT_EQ(plan.waiting.at(0).wait.what, WaitsFor::mandatory_slots);
}

TEST(Scheduler, TheFirstThatCannotStartReservesAndOthersFillBackAroundIt) {
  Pool pool({1, 0, 1});
  pool.add("alice", 2, 2, {0, 1});
  pool.add("alice", 1, 1, {0});
  pool.add("alice", 1, 1, {2});
  const auto plan = pool.plan();
  EXPECT_THAT(claiming(plan), ElementsAre(3));
  EXPECT_EQ(plan.waiting.at(0).reserved, (Sites{0, 1}));
  EXPECT_EQ(plan.waiting.at(1).wait.what, WaitsFor::reservation);
  EXPECT_THAT(plan.waiting.at(1).reserved, IsEmpty()) << "there is one reservation";
}

TEST(Scheduler, MoreThanTheLastFreeSlotOfAReservedSiteMayBeTaken) {
  Pool pool({2, 0});
  pool.add("alice", 2, 2, {0, 1});
  pool.add("alice", 1, 1, {0});
  pool.add("alice", 1, 1, {0});
  EXPECT_THAT(claiming(pool.plan()), ElementsAre(2));
}

TEST(Scheduler, TheReservationTakesSitesWithAFreeSlotBeforeBusyOnes) {
  Pool pool({0, 0, 1});
  pool.add("alice", 2, 2, {0, 1, 2});
  EXPECT_EQ(pool.plan().waiting.at(0).reserved, (Sites{2, 0}));
}

TEST(Scheduler, WhoHasReservedStaysFirstAmongItsEquals) {
  Pool pool({1, 0});
  pool.accounts["alice"].usage = 1000;
  const auto reserved = pool.add("alice", 2, 2, {0, 1}).job;
  pool.add("bob", 1, 1, {0});
  EXPECT_THAT(claiming(pool.plan()), ElementsAre(2)) << "bob has used less";
  EXPECT_THAT(claiming(pool.plan(reserved)), IsEmpty());
  pool.applicants[1].priority = 1;
  EXPECT_THAT(claiming(pool.plan(reserved)), ElementsAre(2)) << "a higher priority goes first";
}

TEST(Scheduler, AJobWhoseSitesAreAwayReservesNothing) {
  Pool pool({1, 1});
  pool.sites[1].is_there = false;
  pool.add("alice", 2, 2, {0, 1});
  pool.add("bob", 1, 1, {0});
  const auto plan = pool.plan();
  EXPECT_THAT(claiming(plan), ElementsAre(2));
  EXPECT_EQ(plan.waiting.at(0).wait, (Wait{WaitsFor::sites, 2, 1}));
}

TEST(Scheduler, AQuotaHoldsBackItsCoordinatorsJobsOnly) {
  Pool pool({1, 1, 1});
  pool.quota = {1, std::nullopt};
  pool.add("alice", 1, 1, {0});
  pool.add("alice", 1, 1, {1});
  pool.add("bob", 1, 1, {2});
  const auto plan = pool.plan();
  EXPECT_THAT(claiming(plan), ElementsAre(1, 3));
  EXPECT_EQ(plan.waiting.at(0).wait, (Wait{WaitsFor::job_quota, 1, 0}));
}

TEST(Scheduler, AQuotaOfSlotsCapsWhatAJobTakes) {
  Pool pool({1, 1, 1});
  pool.quota = {std::nullopt, 2};
  pool.add("alice", 1, 3, {0, 1, 2});
  pool.add("alice", 1, 1, {2});
  const auto plan = pool.plan();
  ASSERT_EQ(plan.claims.size(), 1U);
  EXPECT_EQ(plan.claims[0].sites.size(), 2U);
  EXPECT_EQ(plan.waiting.at(0).wait, (Wait{WaitsFor::slot_quota, 1, 0}));
}

TEST(Scheduler, ARunningJobThatLacksASiteGoesBeforeTheReservation) {
  Pool pool({1, 0});
  pool.add("alice", 2, 2, {0, 1});
  auto& running = pool.add("bob", 1, 1, {0});
  running.stage = Stage::running;
  running.holds_claims = true;
  EXPECT_THAT(claiming(pool.plan()), ElementsAre(2));
}

TEST(Scheduler, WhoHasEnoughTakesMoreOnlyOfWhatNobodyNeeds) {
  Pool pool({1, 1, 1});
  auto& enough = pool.add("alice", 0, 3, {0, 1, 2});
  enough.stage = Stage::enough;
  enough.holds_claims = true;
  pool.add("bob", 1, 1, {1});
  const auto plan = pool.plan();
  ASSERT_EQ(plan.claims.size(), 2U);
  EXPECT_EQ(plan.claims[0].sites, (Sites{1}));
  EXPECT_EQ(plan.claims[1].sites, (Sites{0, 2}));
}

TEST(Scheduler, SaysInASentenceWhatAJobWaitsFor) {
  EXPECT_EQ(sentence({WaitsFor::sites, 3, 1}),
            "needs 3 sites at once; 1 that may take part is there");
  EXPECT_EQ(sentence({WaitsFor::slots, 3, 2}),
            "needs 3 sites at once; 2 of those that are there have a free slot");
  EXPECT_EQ(sentence({WaitsFor::slots, 1, 0}),
            "needs a site; 0 of those that are there have a free slot");
  EXPECT_EQ(sentence({WaitsFor::reservation, 2, 1}),
            "needs 2 sites at once; a job ahead needs some of those with a free slot");
  EXPECT_EQ(sentence({WaitsFor::job_quota, 1, 0}), "its coordinator's quota is 1 job at once");
}

}  // namespace
}  // namespace entente::broker
