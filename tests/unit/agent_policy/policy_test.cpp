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

TEST(Policy, SummaryShowsThatAMissingListAllowsNothing) {
  EXPECT_EQ(summary({{"alice", "bob"}, {"*"}, {}}),
            "coordinators: alice, bob; datasets: *; kinds: nothing");
}

}  // namespace
}  // namespace entente::agent
