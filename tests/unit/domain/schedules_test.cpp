#include "common/domain/schedules.h"

#include <gtest/gtest.h>

namespace entente {
namespace {

using Integer = std::int64_t;

std::vector<double> factors(const ScheduleSpec& spec, std::uint32_t rounds) {
  EXPECT_TRUE(check_schedule(spec));
  std::vector<double> factors;
  for (std::uint32_t round = 1; round <= rounds; ++round) {
    factors.push_back(schedule_factor(spec, round));
  }
  return factors;
}

void expect_near(const std::vector<double>& got, const std::vector<double>& expected) {
  ASSERT_EQ(got.size(), expected.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    EXPECT_NEAR(got[i], expected[i], 1e-12) << "round " << i + 1;
  }
}

TEST(Schedules, ConstantStaysAfterItsWarmUp) {
  expect_near(factors({}, 3), {1, 1, 1});
  expect_near(factors({"constant", {{"warmup", Integer{3}}}}, 5), {0.25, 0.5, 0.75, 1, 1});
}

TEST(Schedules, StepFallsEveryFewRounds) {
  expect_near(factors({"step", {{"every", Integer{2}}, {"gamma", 0.5}}}, 5),
              {1, 1, 0.5, 0.5, 0.25});
}

TEST(Schedules, ExponentialFallsEachRoundAfterTheWarmUp) {
  expect_near(factors({"exponential", {{"gamma", 0.5}, {"warmup", Integer{1}}}}, 4),
              {0.5, 1, 0.5, 0.25});
}

// torch.optim.lr_scheduler.CosineAnnealingLR(T_max=4, eta_min=0.1) of lr 1: 1, 0.8682, 0.55,
// 0.2318.
TEST(Schedules, CosineFallsToItsEndAndStaysThere) {
  const auto got = factors({"cosine", {{"rounds", Integer{4}}, {"end", 0.1}}}, 6);
  EXPECT_NEAR(got[0], 1, 1e-12);
  EXPECT_NEAR(got[1], 0.8682, 1e-4);
  EXPECT_NEAR(got[2], 0.55, 1e-12);
  EXPECT_NEAR(got[3], 0.2318, 1e-4);
  EXPECT_NEAR(got[4], 0.1, 1e-12);
  EXPECT_NEAR(got[5], 0.1, 1e-12);
}

TEST(Schedules, NoneReachesZero) {
  EXPECT_EQ(schedule_factor({"step", {{"every", Integer{1}}, {"gamma", Integer{0}}}}, 100), 1e-9);
  EXPECT_EQ(schedule_factor({"exponential", {{"gamma", 0.1}}}, 100'000), 1e-9);
}

}  // namespace
}  // namespace entente
