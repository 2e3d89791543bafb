// FedAvg's mean: exact, and the same bits everywhere.
#include "broker/merge/strategies/weighted_mean.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/unit/merge/cohorts.h"

namespace entente::broker {
namespace {

TEST(WeightedMean, WeighsEachUpdate) {
  // (1 * (1, 2) + 3 * (5, -2)) / 4 = (4, -1), by hand.
  const TestCohort cohort{{{1, 2}, {5, -2}}, {1, 3}};
  EXPECT_EQ(merged(strategy("fedavg"), cohort), (std::vector<double>{4, -1}));
}

TEST(WeightedMean, GivesTheMeanOfTheReferenceVectors) {
  const auto mean = merged(strategy("fedavg"), seven_sites());
  EXPECT_NEAR(mean[0], 2.3142857143, 1e-6);
  EXPECT_NEAR(mean[1], 0.3142857143, 1e-6);
}

TEST(WeightedMean, GivesTheBitsOfPlainDoubleArithmeticInSiteOrder) {
  for (const std::size_t elements : lengths()) {
    SCOPED_TRACE("random_cohort(2, 5, " + std::to_string(elements) + ")");
    const auto cohort = random_cohort(2, 5, elements);
    std::vector<double> expected(elements);
    for (std::size_t i = 0; i < elements; ++i) {
      // volatile: each operation is rounded by itself, whatever the compiler would fuse.
      volatile double sum = 0;
      double weights = 0;
      for (std::size_t site = 0; site < cohort.updates.size(); ++site) {
        const volatile double term = cohort.weights[site] * double{cohort.updates[site][i]};
        sum = sum + term;
        weights += cohort.weights[site];
      }
      const volatile double mean = sum / weights;
      expected[i] = mean;
    }
    on_every_instruction_set([&](const char* name) {
      EXPECT_TRUE(same_bits(merged(strategy("fedavg"), cohort), expected)) << name;
    });
  }
}

// A fused multiply-add, which some instruction sets have, would leave the rounding error of the
// first product behind.
TEST(WeightedMean, CancelsOppositeUpdatesExactly) {
  auto cohort = random_cohort(6, 1, 5001);
  cohort.updates.push_back(cohort.updates[0]);
  for (float& value : cohort.updates[1]) {
    value = -value;
  }
  cohort.weights = {0.1, 0.1};
  on_every_instruction_set([&](const char* name) {
    for (const double value : merged(strategy("fedavg"), cohort)) {
      ASSERT_EQ(value, 0) << name;
    }
  });
}

TEST(WeightedMean, DoesNotChangeWhenAllWeightsDouble) {
  const auto cohort = random_cohort(5, 8, 3000);
  auto doubled = cohort;
  for (double& weight : doubled.weights) {
    weight *= 2;
  }
  EXPECT_TRUE(same_bits(merged(strategy("fedavg"), cohort), merged(strategy("fedavg"), doubled)));
}

TEST(WeightedMean, KeepsWhatFloatSumsWouldLose) {
  // In float, 1e8 + 1 - 1e8 is 0.
  const TestCohort cohort{{{1e8F}, {1}, {-1e8F}}, {1, 1, 1}};
  EXPECT_DOUBLE_EQ(merged(strategy("fedavg"), cohort)[0], 1.0 / 3);
}

TEST(WeightedMean, OverflowsNowhereBelowTheNormLimit) {
  const TestCohort cohort{{{1e12F}, {1e12F}}, {1e12, 1e12}};
  EXPECT_DOUBLE_EQ(merged(strategy("fedavg"), cohort)[0], double{1e12F});
}

}  // namespace
}  // namespace entente::broker
