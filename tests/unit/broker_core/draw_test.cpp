// The draw of a round's sites: reproducible, without replacement, in proportion to weights.
//
// All numbers follow from fixed seeds. A share that was expected with chance p is held to four and
// a half standard deviations of as many independent draws: sqrt(p (1 - p) / draws).
#include "broker/core/draw.h"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "common/domain/seeds.h"

namespace entente::broker {
namespace {

using testing::ElementsAre;

constexpr std::uint64_t kSeed = 2017;
constexpr double kDeviations = 4.5;

std::vector<Lot> lots(const std::vector<double>& weights) {
  std::vector<Lot> made;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    made.push_back({SiteId::literal(fmt::format("s{:02}", i)), weights[i]});
  }
  return made;
}

std::vector<std::string> drawn(Round round, const std::vector<Lot>& from) {
  std::vector<std::string> names;
  for (const auto& site : draw_order(kSeed, round, from)) {
    names.push_back(site.str());
  }
  return names;
}

void expect_share(std::size_t count, std::size_t draws, double chance, const std::string& what) {
  const auto share = static_cast<double>(count) / static_cast<double>(draws);
  const auto bound = kDeviations * std::sqrt(chance * (1 - chance) / static_cast<double>(draws));
  EXPECT_NEAR(share, chance, bound) << what;
}

// Pinned: another machine, compiler or release must draw the same. Computed from u^(1/weight) with
// Python's floating point and its own FNV-1a and SplitMix64.
TEST(Draw, FollowsFromSeedRoundAndNamesAlone) {
  const auto weighted = lots({1, 2, 3, 4, 5, 6});
  EXPECT_THAT(drawn(1, weighted), ElementsAre("s05", "s01", "s03", "s04", "s02", "s00"));
  EXPECT_THAT(drawn(2, weighted), ElementsAre("s02", "s04", "s00", "s05", "s03", "s01"));
  auto backwards = weighted;
  std::reverse(backwards.begin(), backwards.end());
  EXPECT_EQ(drawn(1, backwards), drawn(1, weighted));
}

TEST(Draw, ASitesTurnDoesNotHangOnWhoElseIsThere) {
  const auto everybody = lots(std::vector<double>(50, 1));
  for (Round round = 1; round <= 100; ++round) {
    auto expected = drawn(round, everybody);
    auto others = everybody;
    const auto leaver = others.begin() + round % 50;
    std::erase(expected, leaver->site.str());
    others.erase(leaver);
    EXPECT_EQ(drawn(round, others), expected);
  }
}

TEST(Draw, AgreesWithThePublishedFormula) {
  const auto sites = lots({1, 640, 1e-3, 17, 1e9, 2, 2, 1e12});
  for (Round round = 1; round <= 2000; ++round) {
    std::map<double, std::string, std::greater<>> by_key;  // u^(1/w), the largest first
    for (const auto& [site, weight] : sites) {
      const auto number = draw_number(kSeed, round, site.str());
      by_key[std::log(std::ldexp(static_cast<double>(number), -64)) / weight] = site.str();
    }
    std::vector<std::string> expected;
    for (const auto& [key, site] : by_key) {
      expected.push_back(site);
    }
    EXPECT_EQ(drawn(round, sites), expected) << round;
  }
}

// Without replacement: the second is drawn from those who are left, in proportion to their weights.
TEST(Draw, EveryOrderComesUpAsOftenAsItsWeightsSay) {
  const std::map<std::string, double> weights{{"s00", 1}, {"s01", 2}, {"s02", 5}};
  constexpr std::size_t kDraws = 40'000;
  std::map<std::vector<std::string>, std::size_t> counts;
  for (Round round = 1; round <= kDraws; ++round) {
    ++counts[drawn(round, lots({1, 2, 5}))];
  }
  EXPECT_EQ(counts.size(), 6U);
  for (const auto& [order, count] : counts) {
    const auto first = weights.at(order[0]) / 8;
    const auto second = weights.at(order[1]) / (8 - weights.at(order[0]));
    expect_share(count, kDraws, first * second, fmt::format("{} {}", order[0], order[1]));
  }
}

// McMahan et al. 2017: C = 0.1 of K = 100.
TEST(Draw, TenOfAHundredComeUpInATenthOfTheRoundsEach) {
  constexpr std::size_t kDraws = 10'000;
  std::map<std::string, std::size_t> counts;
  const auto everybody = lots(std::vector<double>(100, 1));
  for (Round round = 1; round <= kDraws; ++round) {
    const auto order = drawn(round, everybody);
    for (std::size_t i = 0; i < 10; ++i) {
      ++counts[order[i]];
    }
  }
  for (const auto& [site, count] : counts) {
    expect_share(count, kDraws, 0.1, site);
  }
  EXPECT_EQ(counts.size(), 100U);
}

TEST(Draw, WhoHasNoWeightComesAfterAllWhoHaveOne) {
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  for (Round round = 1; round <= 100; ++round) {
    const auto order = drawn(round, lots({0, 1e-300, -5, 1, kNan, kInfinity}));
    EXPECT_THAT(std::vector(order.begin(), order.begin() + 2),
                testing::UnorderedElementsAre("s01", "s03"));
  }
}

}  // namespace
}  // namespace entente::broker
