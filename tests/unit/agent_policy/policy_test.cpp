#include "site-agent/policy/policy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace entente::agent {
namespace {

using ::testing::HasSubstr;

struct Case {
  std::string name;
  Policy policy;
  OfferFacts facts;
  std::string message;  // empty: allowed
};

class PolicyTable : public ::testing::TestWithParam<Case> {};

TEST_P(PolicyTable, Decides) {
  const Case& it = GetParam();
  const auto refusal = decide(it.policy, it.facts);
  if (it.message.empty()) {
    EXPECT_FALSE(refusal) << refusal->message;
    return;
  }
  ASSERT_TRUE(refusal);
  EXPECT_EQ(refusal->code, "policy_declined");
  EXPECT_EQ(refusal->message, it.message);
}

const Policy kOpen{{"*"}, {"*"}, {"*"}};
const Policy kNarrow{{"alice"}, {"scans"}, {"train"}};

INSTANTIATE_TEST_SUITE_P(
    Rules, PolicyTable,
    ::testing::Values(Case{"AnEmptyPolicyAllowsNothing",
                           {},
                           {"alice", {"scans"}, "train"},
                           "policy clause \"coordinators\" does not list \"alice\""},
                      Case{"AStarAllowsEverything", kOpen, {"anyone", {"anything"}, "train"}, ""},
                      Case{"AListedOfferIsAllowed", kNarrow, {"alice", {"scans"}, "train"}, ""},
                      Case{"AnUnlistedCoordinatorIsNot",
                           kNarrow,
                           {"bob", {"scans"}, "train"},
                           "policy clause \"coordinators\" does not list \"bob\""},
                      Case{"AnUnlistedKindIsNot",
                           kNarrow,
                           {"alice", {"scans"}, "query"},
                           "policy clause \"kinds\" does not list \"query\""},
                      Case{"AMissingDatasetListAllowsNone",
                           {{"alice"}, {}, {"train"}},
                           {"alice", {"scans"}, "train"},
                           "policy clause \"datasets\" does not list \"scans\""},
                      Case{"EveryDatasetOfTheOfferMustBeListed",
                           kNarrow,
                           {"alice", {"scans", "labs"}, "train"},
                           "policy clause \"datasets\" does not list \"labs\""},
                      Case{"NamesMatchWholeAndByCase",
                           kNarrow,
                           {"Alice", {"scans"}, "train"},
                           "policy clause \"coordinators\" does not list \"Alice\""},
                      Case{"AStarInTheOfferIsJustAName",
                           kNarrow,
                           {"*", {"scans"}, "train"},
                           "policy clause \"coordinators\" does not list \"*\""}),
    [](const auto& instance) { return instance.param.name; });

TEST(Policy, EscapesWhatAPeerChose) {
  const auto refusal = decide(kNarrow, {"bob\x1b[2J", {"scans"}, "train"});
  ASSERT_TRUE(refusal);
  EXPECT_EQ(refusal->message.find('\x1b'), std::string::npos);
}

TEST(Policy, NamesTheNearestDataset) {
  const Refusal refusal = dataset_unknown("fashion-mnits", {"scans", "fashion-mnist"});
  EXPECT_EQ(refusal.code, "dataset_unknown");
  EXPECT_THAT(refusal.hint, HasSubstr("fashion-mnist"));
  EXPECT_THAT(refusal.hint, ::testing::Not(HasSubstr("scans")));
}

TEST(Policy, SaysWhatTheSiteHasWhenNothingIsNear) {
  EXPECT_THAT(dataset_unknown("tabular", {"scans"}).hint, HasSubstr("scans"));
}

// --- clauses that say no for good, word for word ---

OfferFacts a_job() {
  OfferFacts facts{"alice", {"scans"}, "train"};
  facts.layers = {"conv2d", "relu", "linear"};
  facts.parameters = 61'706;
  facts.update_bytes = 246'824;
  facts.cohort = 2;
  return facts;
}

std::string refusal_under(void (*narrow)(Policy&)) {
  Policy policy = kOpen;
  narrow(policy);
  const auto refusal = decide(policy, a_job());
  return refusal ? refusal->message : "";
}

TEST(Policy, NarrowerClausesNameThemselvesAndTheValues) {
  EXPECT_EQ(refusal_under([](Policy&) {}), "");
  EXPECT_EQ(refusal_under([](Policy& p) {
              p.layers = {"linear", "relu"};
            }),
            "policy clause \"layers\" does not list \"conv2d\"");
  EXPECT_EQ(refusal_under([](Policy& p) { p.layers = {"conv2d", "linear", "relu"}; }), "");
  EXPECT_EQ(refusal_under([](Policy& p) { p.parameters_max = 61'705; }),
            "policy clause \"parameters_max\" allows 61705 parameters, the job has 61706");
  EXPECT_EQ(refusal_under([](Policy& p) { p.parameters_max = 61'706; }), "");
  EXPECT_EQ(refusal_under([](Policy& p) { p.update_bytes_max = 1000; }),
            "policy clause \"update_max\" allows 1000 bytes to leave the site in a round, the job "
            "has 246824");
  EXPECT_EQ(refusal_under([](Policy& p) { p.cohort_min = 3; }),
            "policy clause \"cohort_min\" asks for 3 sites in a round, this job's rounds may close "
            "with 2");
  EXPECT_EQ(refusal_under([](Policy& p) { p.cohort_min = 2; }), "");
}

TEST(Policy, ACohortIsNoneWhereOthersSeeEachSitesOwnModel) {
  Policy policy = kOpen;
  policy.kinds = {"cross_evaluate"};
  policy.cohort_min = 2;
  auto facts = a_job();
  facts.kind = "cross_evaluate";
  facts.cohort = 1;
  facts.shows_single_sites = true;
  const auto refusal = decide(policy, facts);
  ASSERT_TRUE(refusal);
  EXPECT_EQ(
      refusal->message,
      "policy clause \"cohort_min\" asks for 2 sites behind what others see, and a job of the "
      "kind \"cross_evaluate\" shows them each site's own model");
  EXPECT_THAT(refusal->hint, HasSubstr("train one model together"));
  policy.cohort_min = 1;
  EXPECT_FALSE(decide(policy, facts));
}

TEST(Policy, ARoundMustHaveItsCohortAndOneThatDoesNotSayIsTooSmall) {
  Policy policy = kOpen;
  EXPECT_FALSE(check_cohort(policy, 0)) << "without the clause nothing is asked";
  policy.cohort_min = 3;
  EXPECT_FALSE(check_cohort(policy, 3));
  EXPECT_EQ(check_cohort(policy, 2)->message,
            "policy clause \"cohort_min\" asks for 3 sites in a round, this one has 2");
  EXPECT_TRUE(check_cohort(policy, 0));
}

// --- clauses that say not now ---

constexpr UnixMillis kHour = 3'600'000;
constexpr UnixMillis kDay = 24 * kHour;
constexpr UnixMillis kMidnight = 20'000 * kDay;  // of some day, UTC

Circumstances at(UnixMillis time, bool starts_round = true) {
  Circumstances moment;
  moment.now = kMidnight + time;
  moment.starts_round = starts_round;
  return moment;
}

TEST(Policy, HoursOverMidnightEndWithTheMinuteAndSayWhenTheyComeAgain) {
  Policy policy = kOpen;
  policy.hours = Hours::parse("22:00-06:00");
  EXPECT_FALSE(must_wait(policy, "alice", at(0)));
  EXPECT_FALSE(must_wait(policy, "alice", at(6 * kHour - 1)));
  const auto wait = must_wait(policy, "alice", at(6 * kHour));
  ASSERT_TRUE(wait);
  EXPECT_EQ(wait->sentence, "policy clause \"hours\" (22:00-06:00 UTC), free again 22:00 UTC");
  EXPECT_EQ(wait->until, kMidnight + 22 * kHour);
  EXPECT_TRUE(must_wait(policy, "alice", at(6 * kHour, false))) << "evaluations wait, too";
  EXPECT_FALSE(must_wait(policy, "alice", at(22 * kHour)));
}

TEST(Policy, HoursWithinADayAndBeforeThem) {
  Policy policy = kOpen;
  policy.hours = Hours::parse("08:00-17:30");
  EXPECT_EQ(must_wait(policy, "alice", at(1 * kHour))->until, kMidnight + 8 * kHour);
  EXPECT_FALSE(must_wait(policy, "alice", at(8 * kHour)));
  EXPECT_EQ(must_wait(policy, "alice", at(18 * kHour))->until, kMidnight + kDay + 8 * kHour);
}

TEST(Policy, CountsHoursAndDaysByTheSitesClock) {
  Policy policy = kOpen;
  policy.hours = Hours::parse("08:00-09:00");
  policy.utc_offset_minutes = 90;
  EXPECT_FALSE(must_wait(policy, "alice", at(6 * kHour + kHour / 2)));
  const auto wait = must_wait(policy, "alice", at(8 * kHour));
  EXPECT_EQ(wait->sentence,
            "policy clause \"hours\" (08:00-09:00 UTC+01:30), free again 08:00 UTC+01:30");
  EXPECT_EQ(wait->until, kMidnight + kDay + 6 * kHour + kHour / 2);
  EXPECT_EQ(day_of(policy, kMidnight - 1), 20'000) << "it is 01:29 there";
  policy.utc_offset_minutes = -60;
  EXPECT_EQ(day_of(policy, kMidnight), 19'999);
  EXPECT_EQ(day_of({}, -1), -1);
}

TEST(Policy, UsedUpRoundsSayWhenTheyAreFreeAgain) {
  Policy policy = kOpen;
  policy.rounds_per_day = 4;
  auto moment = at(5 * kHour);
  moment.rounds_today = 3;
  EXPECT_FALSE(must_wait(policy, "alice", moment));
  moment.rounds_today = 4;
  const auto wait = must_wait(policy, "alice", moment);
  ASSERT_TRUE(wait);
  EXPECT_EQ(wait->sentence, "policy clause \"rounds_per_day\" (4 of 4 used, free again 00:00 UTC)");
  EXPECT_EQ(wait->until, kMidnight + kDay);
  moment.starts_round = false;
  EXPECT_FALSE(must_wait(policy, "alice", moment)) << "a round that has begun goes on";
}

TEST(Policy, ACoordinatorsOwnLimitLeavesTheOthersAlone) {
  Policy policy = kOpen;
  policy.rounds_of = {{"alice", 1}};
  auto moment = at(0);
  moment.rounds_today = 9;
  moment.rounds_today_of_coordinator = 1;
  EXPECT_EQ(must_wait(policy, "alice", moment)->sentence,
            "policy clause \"rounds_per_day_of.alice\" (1 of 1 used, free again 00:00 UTC)");
  EXPECT_FALSE(must_wait(policy, "bob", moment));
}

TEST(Policy, ManualApprovalComesFirstAndNoTimeBringsIt) {
  Policy policy = kOpen;
  policy.approve = Approval::manual;
  policy.hours = Hours::parse("22:00-06:00");
  const auto wait = must_wait(policy, "alice", at(12 * kHour));
  ASSERT_TRUE(wait);
  EXPECT_EQ(wait->sentence, "policy clause \"approve\" (manual): waits for approval at the site");
  EXPECT_FALSE(wait->until);
  auto moment = at(0);
  moment.approved = true;
  EXPECT_FALSE(must_wait(policy, "alice", moment));
}

TEST(Policy, ReadsOnlyWholeHours) {
  EXPECT_EQ(Hours::parse("22:00-06:30"), (Hours{22 * 60, 6 * 60 + 30}));
  for (const char* text : {"", "22-06", "22:00-24:00", "22:60-06:00", "08:00-08:00", "22:00 06:00",
                           "22:00-06:00 ", "2a:00-06:00"}) {
    EXPECT_FALSE(Hours::parse(text)) << text;
  }
}

TEST(Policy, TellsTheConsortiumWhichClausesThereAreAndNamesNobody) {
  Policy policy = kNarrow;
  policy.layers = {"linear"};
  policy.cohort_min = 3;
  policy.rounds_per_day = 4;
  policy.rounds_of = {{"bob", 1}};
  policy.hours = Hours::parse("22:00-06:00");
  policy.approve = Approval::manual;
  EXPECT_EQ(
      clauses(policy),
      "coordinators (1), datasets (1), kinds (1), layers (1), cohort_min 3, rounds_per_day 4, "
      "rounds_per_day_of (1), hours 22:00-06:00 UTC, approve manual");
  EXPECT_EQ(clauses({}), "coordinators (none), datasets (none), kinds (none)");
}

TEST(Policy, SummaryShowsThatAMissingListAllowsNothing) {
  EXPECT_EQ(summary({{"alice", "bob"}, {"*"}, {}}),
            "coordinators: alice, bob; datasets: *; kinds: nothing");
}

}  // namespace
}  // namespace entente::agent
