#include "common/tensors/scaled_block.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

namespace entente {
namespace {

std::vector<float> through_int8(const std::vector<float>& values, std::uint64_t seed) {
  const float scale = scale_of(values);
  std::vector<std::int8_t> multiples(values.size());
  round_to_scale(values, scale, seed, 0, multiples);
  std::vector<float> back(values.size());
  from_multiples(multiples, scale, back);
  return back;
}

std::vector<float> some_values(std::size_t count) {
  std::mt19937 random(5);
  std::normal_distribution<float> normal(0, 0.01F);
  std::vector<float> values(count);
  for (float& value : values) {
    value = normal(random);
  }
  return values;
}

TEST(ScaledBlock, IsOffByLessThanAStep) {
  const auto values = some_values(2048);
  const auto back = through_int8(values, 9);
  for (std::size_t i = 0; i < values.size(); ++i) {
    EXPECT_LT(std::abs(back[i] - values[i]), scale_of(values) * 1.0001F) << i;
  }
}

TEST(ScaledBlock, KeepsZerosMultiplesAndTheLargestValueAsTheyAre) {
  EXPECT_EQ(through_int8({0, 0, 0}, 1), (std::vector<float>{0, 0, 0}));
  EXPECT_EQ(through_int8({127, -127, 3, 0, -1}, 1), (std::vector<float>{127, -127, 3, 0, -1}));
}

// Of every size: the quotient by 127 is rounded, and must not be too small for a signed byte.
TEST(ScaledBlock, HasAScaleThatReachesTheLargestValue) {
  std::mt19937 random(6);
  std::uniform_real_distribution<float> mantissa(1, 2);
  for (int i = 0; i < 20'000; ++i) {
    const float largest = std::ldexp(mantissa(random), i % 250 - 148);
    const std::vector<float> values{largest, -largest, largest / 2};
    ASSERT_GE(double{scale_of(values)} * 127, largest);
    std::vector<std::int8_t> multiples(values.size());
    round_to_scale(values, scale_of(values), 3, 0, multiples);
    ASSERT_GE(multiples[0], 0) << "wrapped around for " << largest;
    ASSERT_LE(multiples[1], 0) << "wrapped around for " << largest;
  }
  EXPECT_GT(scale_of(std::vector{std::numeric_limits<float>::denorm_min()}), 0);
}

TEST(ScaledBlock, IsRightOnAverage) {
  // 0.3 steps above a multiple: up in three draws of ten.
  const std::vector<float> values{12.3F, -12.3F, 127};
  constexpr int kDraws = 100'000;
  std::vector<double> sums(values.size());
  for (int seed = 0; seed < kDraws; ++seed) {
    const auto back = through_int8(values, static_cast<std::uint64_t>(seed));
    for (std::size_t i = 0; i < values.size(); ++i) {
      EXPECT_LE(std::abs(back[i] - values[i]), 0.71F);
      sums[i] += back[i];
    }
  }
  // Six standard deviations of a mean of so many draws.
  const double tolerance = 6 * std::sqrt(0.3 * 0.7 / kDraws);
  for (std::size_t i = 0; i < values.size(); ++i) {
    EXPECT_NEAR(sums[i] / kDraws, values[i], tolerance);
  }
}

TEST(ScaledBlock, ErrorsOfDifferentPlacesDoNotAddUp) {
  const std::vector<float> values(100'000, 0.4F);
  std::vector<std::int8_t> multiples(values.size());
  round_to_scale(values, 1, 11, 0, multiples);
  double sum = 0;
  for (const auto multiple : multiples) {
    sum += multiple;
  }
  EXPECT_NEAR(sum / 100'000, 0.4, 6 * std::sqrt(0.4 * 0.6 / 100'000));
}

TEST(ScaledBlock, RoundsBySeedAndPlaceAlone) {
  const auto values = some_values(64);
  EXPECT_EQ(through_int8(values, 4), through_int8(values, 4));
  EXPECT_NE(through_int8(values, 4), through_int8(values, 5));
  std::vector<std::int8_t> whole(64);
  std::vector<std::int8_t> part(32);
  round_to_scale(values, 1e-3F, 4, 0, whole);
  round_to_scale(std::span(values).subspan(32), 1e-3F, 4, 32, part);
  EXPECT_TRUE(std::equal(part.begin(), part.end(), whole.begin() + 32));
}

}  // namespace
}  // namespace entente
