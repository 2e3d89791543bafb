#include "broker/merge/fedavg.h"

#include <gtest/gtest.h>

#include <hwy/targets.h>
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <random>
#include <span>
#include <string>
#include <vector>

namespace entente::broker {
namespace {

using Vector = std::vector<float>;

struct Cohort {
  Vector model;
  std::vector<Vector> deltas;
  std::vector<double> weights;

  [[nodiscard]] std::vector<WeightedUpdate> updates() const {
    std::vector<WeightedUpdate> all;
    for (std::size_t i = 0; i < deltas.size(); ++i) {
      all.push_back({.delta = deltas[i], .weight = weights[i]});
    }
    return all;
  }
};

// mt19937_64's numbers are fixed by the standard, a distribution's are not.
float next_float(std::mt19937_64& random) {
  const double unit = static_cast<double>(random() >> 11) * 0x1p-53;
  const int exponent = static_cast<int>(random() % 24) - 12;
  return static_cast<float>(std::ldexp(2 * unit - 1, exponent));
}

Cohort random_cohort(std::uint64_t seed, std::size_t sites, std::size_t elements) {
  std::mt19937_64 random(seed);
  Cohort cohort;
  cohort.model.resize(elements);
  for (float& value : cohort.model) {
    value = next_float(random);
  }
  for (std::size_t site = 0; site < sites; ++site) {
    Vector delta(elements);
    for (float& value : delta) {
      value = next_float(random);
    }
    cohort.deltas.push_back(delta);
    cohort.weights.push_back(static_cast<double>(1 + random() % 100'000));
  }
  return cohort;
}

Vector merged(std::span<const float> model, std::span<const WeightedUpdate> updates) {
  Vector result;
  fedavg(model, updates, [&result](std::span<const float> block) {
    result.insert(result.end(), block.begin(), block.end());
  });
  return result;
}

Vector merged(const Cohort& cohort) { return merged(cohort.model, cohort.updates()); }

bool same_bits(const Vector& a, const Vector& b) {
  const auto bits = [](float value) { return std::bit_cast<std::uint32_t>(value); };
  return std::ranges::equal(a, b, {}, bits, bits);
}

// Lengths around the width of a vector register and of a block.
const std::vector<std::size_t> kLengths{0, 1, 2, 7, 8, 9, 2047, 2048, 2049, 10'000};

TEST(FedAvg, AddsTheWeightedMeanOfTheUpdates) {
  // (1 * (1, 2) + 3 * (5, -2)) / 4 = (4, -1), by hand.
  const Cohort cohort{.model = {10, 20}, .deltas = {{1, 2}, {5, -2}}, .weights = {1, 3}};
  EXPECT_EQ(merged(cohort), (Vector{14, 19}));
}

TEST(FedAvg, GivesTheMeanOfThePublishedVectors) {
  // The seven-site example of the project's reference for aggregation rules, computed there in
  // double: mean (2.3142857143, 0.3142857143).
  const Cohort cohort{.model = {0, 0},
                      .deltas = {{1, 2},
                                 {1.1F, 1.9F},
                                 {.9F, 2.1F},
                                 {1.05F, 2.05F},
                                 {.95F, 1.95F},
                                 {1.2F, 2.2F},
                                 {10, -10}},
                      .weights = {1, 1, 1, 1, 1, 1, 1}};
  const Vector mean = merged(cohort);
  EXPECT_NEAR(mean[0], 2.3142857143, 1e-6);
  EXPECT_NEAR(mean[1], 0.3142857143, 1e-6);
}

TEST(FedAvg, OfASingleSiteIsItsModel) {
  const Cohort cohort{.model = {1, 2}, .deltas = {{0.5, -0.25}}, .weights = {17}};
  EXPECT_EQ(merged(cohort), (Vector{1.5, 1.75}));
}

TEST(FedAvg, IsWithinOneRoundingOfLongDouble) {
  for (const std::size_t elements : kLengths) {
    SCOPED_TRACE("random_cohort(1, 9, " + std::to_string(elements) + ")");
    const Cohort cohort = random_cohort(1, 9, elements);
    const Vector result = merged(cohort);
    ASSERT_EQ(result.size(), elements);
    for (std::size_t i = 0; i < elements; ++i) {
      long double sum = 0;
      long double weights = 0;
      for (std::size_t site = 0; site < cohort.deltas.size(); ++site) {
        sum += static_cast<long double>(cohort.weights[site]) * cohort.deltas[site][i];
        weights += cohort.weights[site];
      }
      const auto exact = static_cast<float>(cohort.model[i] + sum / weights);
      ASSERT_GE(result[i], std::nextafter(exact, -INFINITY)) << i;
      ASSERT_LE(result[i], std::nextafter(exact, INFINITY)) << i;
    }
  }
}

TEST(FedAvg, GivesTheBitsOfPlainDoubleArithmeticInSiteOrder) {
  for (const std::size_t elements : kLengths) {
    SCOPED_TRACE("random_cohort(2, 5, " + std::to_string(elements) + ")");
    const Cohort cohort = random_cohort(2, 5, elements);
    Vector expected(elements);
    for (std::size_t i = 0; i < elements; ++i) {
      // volatile: each operation is rounded by itself, whatever the compiler would fuse.
      volatile double sum = 0;
      double weights = 0;
      for (std::size_t site = 0; site < cohort.deltas.size(); ++site) {
        const volatile double term = cohort.weights[site] * double{cohort.deltas[site][i]};
        sum = sum + term;
        weights += cohort.weights[site];
      }
      const volatile double mean = sum / weights;
      expected[i] = static_cast<float>(double{cohort.model[i]} + mean);
    }
    ASSERT_TRUE(same_bits(merged(cohort), expected));
  }
}

// Runs `body` with each instruction set that this machine has and that was compiled for.
void on_every_instruction_set(const std::function<void(const char* name)>& body) {
  for (std::int64_t rest = hwy::SupportedTargets(); rest != 0; rest &= rest - 1) {
    const std::int64_t target = rest & -rest;
    hwy::SetSupportedTargetsForTest(target);
    body(hwy::TargetName(target));
    hwy::SetSupportedTargetsForTest(0);
  }
}

TEST(FedAvg, GivesTheSameBitsOnEveryInstructionSet) {
  const Cohort cohort = random_cohort(3, 7, 5001);
  const Vector expected = merged(cohort);
  on_every_instruction_set(
      [&](const char* name) { EXPECT_TRUE(same_bits(merged(cohort), expected)) << name; });
}

// A fused multiply-add, which some instruction sets have, would leave the rounding error of the
// first product behind.
TEST(FedAvg, CancelsOppositeUpdatesExactly) {
  Cohort cohort = random_cohort(6, 1, 5001);
  cohort.model.assign(cohort.model.size(), 0);
  cohort.deltas.push_back(cohort.deltas[0]);
  for (float& value : cohort.deltas[1]) {
    value = -value;
  }
  cohort.weights = {0.1, 0.1};
  on_every_instruction_set(
      [&](const char* name) { EXPECT_EQ(merged(cohort), Vector(cohort.model.size(), 0)) << name; });
}

TEST(FedAvg, GivesTheSameBitsWhereverTheVectorIsCut) {
  const Cohort cohort = random_cohort(4, 6, 7000);
  const Vector whole = merged(cohort);
  for (const std::size_t shard : {1UL, 3UL, 64UL, 2047UL, 2049UL, 6999UL}) {
    Vector pieces;
    for (std::size_t start = 0; start < cohort.model.size(); start += shard) {
      const std::size_t count = std::min(shard, cohort.model.size() - start);
      auto updates = cohort.updates();
      for (auto& update : updates) {
        update.delta = update.delta.subspan(start, count);
      }
      const Vector piece = merged(std::span(cohort.model).subspan(start, count), updates);
      pieces.insert(pieces.end(), piece.begin(), piece.end());
    }
    EXPECT_TRUE(same_bits(pieces, whole)) << "shards of " << shard;
  }
}

TEST(FedAvg, DoesNotChangeWhenAllWeightsDouble) {
  const Cohort cohort = random_cohort(5, 8, 3000);
  Cohort doubled = cohort;
  for (double& weight : doubled.weights) {
    weight *= 2;
  }
  EXPECT_TRUE(same_bits(merged(cohort), merged(doubled)));
}

TEST(FedAvg, KeepsWhatFloatSumsWouldLose) {
  // In float, 1e8 + 1 - 1e8 is 0.
  const Cohort cohort{.model = {0}, .deltas = {{1e8F}, {1}, {-1e8F}}, .weights = {1, 1, 1}};
  EXPECT_FLOAT_EQ(merged(cohort)[0], 1.0F / 3);
}

TEST(FedAvg, OverflowsNowhereBelowTheNormLimit) {
  const Cohort cohort{.model = {0}, .deltas = {{1e12F}, {1e12F}}, .weights = {1e12, 1e12}};
  EXPECT_FLOAT_EQ(merged(cohort)[0], 1e12F);
}

}  // namespace
}  // namespace entente::broker
