// The robust rules against hand-computed vectors, naive implementations and the properties that
// their papers promise.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>

#include "broker/merge/strategies/bulyan.h"
#include "broker/merge/strategies/krum.h"
#include "broker/merge/strategies/pair_distances.h"
#include "broker/merge/strategy.h"
#include "broker/merge/threaded_sweep.h"
#include "tests/unit/merge/cohorts.h"

namespace entente::broker {
namespace {

constexpr double kNear = 1e-6;  // the reference's vectors are decimal, ours float32

void expect_near(const std::vector<double>& actual, double x, double y) {
  EXPECT_NEAR(actual[0], x, kNear);
  EXPECT_NEAR(actual[1], y, kNear);
}

PairDistances distances_of(const TestCohort& cohort) {
  std::vector<FlatValues> values;
  for (const auto& update : cohort.updates) {
    values.emplace_back(update);
  }
  std::vector<const UpdateValues*> updates;
  for (const auto& value : values) {
    updates.push_back(&value);
  }
  ThreadedSweep sweep(1);
  return pair_distances(updates, sweep);
}

// ---- published and hand-computed vectors (the project's reference for aggregation rules) ----

TEST(RobustRules, GiveTheReferenceVectors) {
  const auto cohort = seven_sites();
  expect_near(merged(strategy("median"), cohort), 1.05, 2.0);
  expect_near(merged(strategy("trimmed_mean"), cohort), 1.06, 2.0);  // k = floor(0.2 * 7) = 1
  expect_near(merged(strategy("krum", {{"byzantine", 1}}), cohort), 1, 2);
  expect_near(merged(strategy("multi_krum", {{"byzantine", 1}, {"m", 3}}), cohort), 1, 2);
  expect_near(merged(strategy("bulyan", {{"byzantine", 1}}), cohort), 1, 2);
}

TEST(Krum, GivesTheReferenceScoresAndPicks) {
  const auto distances = distances_of(seven_sites());
  std::vector<std::size_t> all(7);
  std::iota(all.begin(), all.end(), 0);
  const auto scores = krum_scores(distances, all, 1);
  const std::vector<double> expected{.05, .15, .15, .075, .075, .325};
  for (std::size_t i = 0; i < expected.size(); ++i) {
    EXPECT_NEAR(scores[i], expected[i], kNear) << i;
  }
  EXPECT_NEAR(scores[6], 895.83, 1e-3);
  EXPECT_EQ(multi_krum(distances, 1, 1), (std::vector<std::size_t>{0}));
  EXPECT_EQ(multi_krum(distances, 1, 3), (std::vector<std::size_t>{0, 3, 4}));
}

TEST(GeometricMedian, GivesTheReferenceIterates) {
  const auto cohort = seven_sites();
  const auto after = [&](double iterations) {
    return merged(strategy("geometric_median", {{"iterations", iterations}}), cohort);
  };
  expect_near(after(1), 1.2770173562, 1.7052601264);
  expect_near(after(3), 1.0498892628, 1.9793200189);
  expect_near(after(100), 1.0131429850, 2.0002213209);
}

TEST(RobustRules, TakeTheMeanOfTheMiddleTwoOfAnEvenNumber) {
  const TestCohort cohort{{{1}, {2}, {4}, {100}}, {1, 1, 1, 1}};
  EXPECT_EQ(merged(strategy("median"), cohort)[0], 3);
}

TEST(Krum, GivesTiesToTheLowestSite) {
  const TestCohort cohort{{{0}, {2}, {4}, {6}, {8}}, {1, 1, 1, 1, 1}};
  // Scores 4 + 16, 4 + 4, 4 + 4, 4 + 4, 4 + 16: sites 1, 2 and 3 tie.
  EXPECT_EQ(merged(strategy("krum", {{"byzantine", 1}}), cohort)[0], 2);
}

TEST(Bulyan, ScoresTheRestAgainAfterEachPick) {
  // Worked out by hand: on a line, f = 1. The first scores are below; the five lowest are those of
  // sites 1 to 5. Scored again after each pick, Krum takes 4, 1, 5, 0 and 2.
  const TestCohort cohort{{{15}, {12}, {7}, {13}, {10}, {6}, {3}}, std::vector<double>(7, 1.0)};
  const auto distances = distances_of(cohort);
  const std::vector<std::size_t> all{0, 1, 2, 3, 4, 5, 6};
  EXPECT_EQ(krum_scores(distances, all, 1), (std::vector<double>{102, 39, 51, 50, 38, 62, 155}));
  EXPECT_EQ(bulyan_picks(distances, 1), (std::vector<std::size_t>{0, 1, 2, 4, 5}));
}

TEST(Bulyan, AveragesTheValuesNearestToTheMedian) {
  const Vector a{0}, b{1}, c{2}, d{9}, e{10};
  std::vector<const float*> rows{d.data(), a.data(), c.data(), e.data(), b.data()};
  std::vector<double> result(1);
  bulyan(rows, 1, result);  // the three nearest to 2 are 0, 1 and 2
  EXPECT_EQ(result[0], 1);
}

// ---- agreement with naive implementations ----

std::vector<double> column(const TestCohort& cohort, std::size_t i) {
  std::vector<double> values;
  for (const auto& update : cohort.updates) {
    values.push_back(double{update[i]});
  }
  std::sort(values.begin(), values.end());
  return values;
}

TEST(RobustRules, SortLikeASimpleImplementation) {
  for (std::size_t sites = 1; sites <= 40; ++sites) {
    for (const std::size_t elements : {1UL, 17UL, 2049UL}) {
      SCOPED_TRACE("random_cohort(" + std::to_string(sites) + ", " + std::to_string(sites) + ", " +
                   std::to_string(elements) + ")");
      const auto cohort = random_cohort(sites, sites, elements);
      const auto median = merged(strategy("median"), cohort);
      const auto trimmed = merged(strategy("trimmed_mean", {{"beta", 0.3}}), cohort);
      const auto trim = std::min((3 * sites) / 10, (sites - 1) / 2);
      for (std::size_t i = 0; i < elements; ++i) {
        const auto sorted = column(cohort, i);
        ASSERT_EQ(median[i], (sorted[(sites - 1) / 2] + sorted[sites / 2]) / 2) << i;
        double sum = 0;
        for (std::size_t k = trim; k < sites - trim; ++k) {
          sum += sorted[k];
        }
        ASSERT_EQ(trimmed[i], sum / static_cast<double>(sites - 2 * trim)) << i;
      }
    }
  }
}

// Those nearest to the median, one after the other; of two equally near ones the lower.
double mean_around_median(std::vector<double> sorted, std::size_t keep) {
  const std::size_t n = sorted.size();
  const double median = (sorted[(n - 1) / 2] + sorted[n / 2]) / 2;
  std::stable_sort(sorted.begin(), sorted.end(), [median](double a, double b) {
    return std::abs(a - median) < std::abs(b - median);
  });
  sorted.resize(keep);
  std::sort(sorted.begin(), sorted.end());
  return std::accumulate(sorted.begin(), sorted.end(), 0.0) / static_cast<double>(keep);
}

TEST(Bulyan, AveragesLikeASimpleImplementation) {
  for (std::size_t picks = 1; picks <= 40; ++picks) {
    for (std::size_t byzantine = 0; 2 * byzantine < picks; byzantine += 1 + picks / 8) {
      constexpr std::size_t kElements = 77;
      SCOPED_TRACE("random_cohort(" + std::to_string(picks) + ", " + std::to_string(picks) +
                   ", 77), byzantine " + std::to_string(byzantine));
      const auto cohort = random_cohort(picks, picks, kElements);
      std::vector<const float*> rows;
      for (const auto& update : cohort.updates) {
        rows.push_back(update.data());
      }
      std::vector<double> actual(kElements);
      bulyan(rows, byzantine, actual);
      for (std::size_t i = 0; i < kElements; ++i) {
        ASSERT_EQ(actual[i], mean_around_median(column(cohort, i), picks - 2 * byzantine)) << i;
      }
    }
  }
}

TEST(Distances, AreThoseOfLongDouble) {
  for (const std::size_t sites : {1UL, 2UL, 6UL, 16UL, 17UL, 40UL}) {
    for (const std::size_t elements : {1UL, 63UL, 65UL, 5000UL}) {
      SCOPED_TRACE("random_cohort(7, " + std::to_string(sites) + ", " + std::to_string(elements) +
                   ")");
      const auto cohort = random_cohort(7, sites, elements);
      const auto distances = distances_of(cohort);
      for (std::size_t i = 0; i < sites; ++i) {
        for (std::size_t j = 0; j < sites; ++j) {
          long double exact = 0;
          for (std::size_t k = 0; k < elements; ++k) {
            const auto difference =
                static_cast<long double>(cohort.updates[i][k]) - cohort.updates[j][k];
            exact += difference * difference;
          }
          EXPECT_NEAR(distances.squared(i, j), static_cast<double>(exact),
                      static_cast<double>(exact) * 1e-13);
        }
      }
    }
  }
}

TEST(Distances, OfNearUpdatesDoNotCancel) {
  // |x|^2 + |y|^2 - 2xy of these is 0 or negative even in double.
  const TestCohort cohort{{{1e8F, 1}, {1e8F, 1 + 0x1p-20F}}, {1, 1}};
  EXPECT_EQ(distances_of(cohort).squared(0, 1), 0x1p-40);
}

// ---- bits ----

std::vector<StrategySpec> all_rules() {
  return {strategy("fedavg"),
          strategy("median"),
          strategy("trimmed_mean"),
          strategy("krum", {{"byzantine", 2}}),
          strategy("multi_krum", {{"byzantine", 2}, {"m", 4}}),
          strategy("bulyan", {{"byzantine", 2}}),
          strategy("geometric_median", {{"byzantine", 2}}),
          strategy("qfedavg")};
}

// A few ranges, so that there is work for several threads.
constexpr std::size_t kManyRanges = 3 * kRangeValues + 1234;

TEST(AllRules, GiveTheSameBitsForAnyNumberOfThreads) {
  const auto cohort = random_cohort(11, 11, kManyRanges);
  for (const auto& rule : all_rules()) {
    const auto expected = merged(rule, cohort, 1);
    for (const std::size_t threads : {2UL, 3UL, 8UL}) {
      EXPECT_TRUE(same_bits(merged(rule, cohort, threads), expected)) << rule.kind << threads;
    }
  }
}

TEST(AllRules, GiveTheSameBitsOnEveryInstructionSet) {
  for (const std::size_t sites : {11UL, 23UL}) {
    const auto cohort = random_cohort(12, sites, 5001);
    for (const auto& rule : all_rules()) {
      const auto expected = merged(rule, cohort);
      on_every_instruction_set([&](const char* name) {
        EXPECT_TRUE(same_bits(merged(rule, cohort), expected)) << rule.kind << " " << name;
      });
    }
  }
}

// ---- what the papers promise ----

std::vector<StrategySpec> robust_rules() {
  auto rules = all_rules();
  std::erase_if(rules,
                [](const auto& rule) { return rule.kind == "fedavg" || rule.kind == "qfedavg"; });
  return rules;
}

TestCohort unweighted(std::uint64_t seed, std::size_t sites, std::size_t elements) {
  auto cohort = random_cohort(seed, sites, elements);
  cohort.weights.assign(sites, 1.0);
  return cohort;
}

double scale_of(const std::vector<double>& values) {
  double largest = 0;
  for (const double value : values) {
    largest = std::max(largest, std::abs(value));
  }
  return largest;
}

void expect_close(const std::vector<double>& a, const std::vector<double>& b, double tolerance,
                  const std::string& what) {
  for (std::size_t i = 0; i < a.size(); ++i) {
    ASSERT_NEAR(a[i], b[i], tolerance) << what << " at " << i;
  }
}

TEST(AllRules, DoNotDependOnTheOrderOfTheSites) {
  std::mt19937_64 random(13);
  const auto cohort = random_cohort(13, 11, 700);
  std::vector<std::size_t> order(11);
  std::iota(order.begin(), order.end(), 0);
  for (int times = 0; times < 10; ++times) {
    std::shuffle(order.begin(), order.end(), random);
    for (const auto& rule : all_rules()) {
      const auto expected = merged(rule, cohort);
      const auto actual = merged(rule, reordered(cohort, order));
      if (rule.kind == "bulyan") {
        // Its last picks have one neighbour each, so two nearest ones always tie, and ties go by
        // the site's id.
        continue;
      }
      if (rule.kind == "median" || rule.kind == "trimmed_mean" || rule.kind == "krum") {
        EXPECT_TRUE(same_bits(actual, expected)) << rule.kind;
      } else {
        expect_close(actual, expected, 1e-12 * scale_of(expected), rule.kind);
      }
    }
  }
}

TEST(RobustRules, MoveAndGrowWithTheUpdates) {
  const auto cohort = unweighted(14, 11, 300);
  auto moved = cohort;
  for (auto& update : moved.updates) {
    for (float& value : update) {
      value = value * 4 + 64;
    }
  }
  for (const auto& rule : robust_rules()) {
    auto expected = merged(rule, cohort);
    for (double& value : expected) {
      value = value * 4 + 64;
    }
    // A float near 64 has a spacing of 7.6e-6.
    expect_close(merged(rule, moved), expected, 4e-5, rule.kind);
  }
}

TEST(RobustRules, StayWithinTheHonestRangeWhateverFUpdatesSay) {
  constexpr std::size_t kSites = 11;
  constexpr std::size_t kBad = 2;
  for (const float attack : {1e30F, -1e30F, 3.0F, -3.0F}) {
    auto cohort = unweighted(15, kSites, 400);
    for (std::size_t bad = 0; bad < kBad; ++bad) {
      cohort.updates[bad * 7].assign(400, attack);
    }
    for (const auto& rule : robust_rules()) {
      if (rule.kind == "geometric_median") {
        continue;  // promises a distance, not a range: the test below
      }
      const auto result = merged(rule, cohort);
      for (std::size_t i = 0; i < result.size(); ++i) {
        float low = INFINITY;
        float high = -INFINITY;
        for (std::size_t site = 0; site < kSites; ++site) {
          if (site != 0 && site != 7) {
            low = std::min(low, cohort.updates[site][i]);
            high = std::max(high, cohort.updates[site][i]);
          }
        }
        const bool picks_whole_updates = rule.kind == "krum" || rule.kind == "multi_krum";
        if (picks_whole_updates && std::abs(attack) < 1e30F) {
          continue;  // a pick may be a bad update that looks like the honest ones
        }
        ASSERT_GE(result[i], double{low}) << rule.kind << " " << attack;
        ASSERT_LE(result[i], double{high}) << rule.kind << " " << attack;
      }
    }
  }
}

// Pillutla et al., Proposition 2, for the exact median: |v - mean| <= 2 (n - f) / (n - 2f) times
// the largest distance of an honest update from the honest mean.
TEST(GeometricMedian, StaysNearTheHonestMeanWhateverFUpdatesSay) {
  auto cohort = unweighted(16, 11, 200);
  const auto honest = reordered(cohort, {2, 3, 4, 5, 6, 7, 8, 9, 10});
  const auto mean = merged(strategy("fedavg"), honest);
  const auto distance = [&mean](const auto& from) {
    double sum = 0;
    for (std::size_t i = 0; i < mean.size(); ++i) {
      sum += (from[i] - mean[i]) * (from[i] - mean[i]);
    }
    return std::sqrt(sum);
  };
  double radius = 0;
  for (const auto& update : honest.updates) {
    radius = std::max(radius, distance(update));
  }
  cohort.updates[0].assign(200, 1e6F);
  cohort.updates[1].assign(200, 1e6F);
  const auto result = merged(strategy("geometric_median", {{"iterations", 100}}), cohort);
  EXPECT_LE(distance(result), 2.0 * 9 / 7 * radius);
}

// ---- guarantees ----

std::string refusal(const StrategySpec& spec, const TestCohort& cohort) {
  std::vector<FlatValues> values(cohort.updates.begin(), cohort.updates.end());
  Cohort updates;
  for (const auto& value : values) {
    updates.updates.push_back(&value);
  }
  updates.weights = cohort.weights;
  ThreadedSweep sweep(1);
  const auto rule = prepare_rule(spec, updates, sweep);
  return rule ? "" : rule.error().message;
}

TEST(RobustRules, RefuseANumberOfUpdatesOutsideTheirGuarantee) {
  const auto four = unweighted(17, 4, 3);
  EXPECT_EQ(refusal(strategy("median", {{"byzantine", 2}}), four),
            "median with byzantine = 2 needs at least 5 updates (2f + 1), there are 4");
  EXPECT_EQ(refusal(strategy("krum", {{"byzantine", 1}}), four),
            "krum with byzantine = 1 needs at least 5 updates (2f + 3), there are 4");
  EXPECT_EQ(refusal(strategy("bulyan", {{"byzantine", 1}}), four),
            "bulyan with byzantine = 1 needs at least 7 updates (4f + 3), there are 4");
  EXPECT_EQ(refusal(strategy("trimmed_mean", {{"byzantine", 1}}), four),
            "trimmed_mean with beta = 0.2 leaves out 0 of 4 updates at each end, fewer than "
            "byzantine, 1");
  EXPECT_EQ(refusal(strategy("median", {{"byzantine", 1}}), four), "");
}

TEST(GeometricMedian, RefusesBadUpdatesThatMayWeighHalf) {
  const TestCohort cohort{{{1}, {2}, {3}}, {2, 1, 1}};
  EXPECT_EQ(refusal(strategy("geometric_median", {{"byzantine", 1}}), cohort),
            "geometric_median needs bad updates to weigh less than half; the 1 heaviest weigh 50 % "
            "of all");
}

}  // namespace
}  // namespace entente::broker
