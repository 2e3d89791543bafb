// FedNova and SCAFFOLD where FedAvg is wrong: on quadratics, whose optimum and whose local training
// are known in closed form.
#include "broker/merge/strategies/fed_nova.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <functional>

#include "tests/unit/merge/cohorts.h"

namespace entente::broker {
namespace {

// One coordinate. Site i has F_i(w) = h_i / 2 (w - e_i)^2 and takes K_i steps of gradient descent.
struct Quadratic {
  double curvature = 1;
  double centre = 0;
  std::uint64_t steps = 1;
};

constexpr std::array kSites{Quadratic{1, 0, 1}, Quadratic{1, 1, 4}, Quadratic{1, 10, 20}};
// The same, but no two of the same shape and all with as many steps.
constexpr std::array kShapes{Quadratic{0.2, 0, 10}, Quadratic{1, 1, 10}, Quadratic{4, 10, 10}};

// Of sum_i F_i.
template <class Sites>
double optimum(const Sites& sites) {
  double pull = 0;
  double curvature = 0;
  for (const Quadratic& site : sites) {
    pull += site.curvature * site.centre;
    curvature += site.curvature;
  }
  return pull / curvature;
}

// The share of the way to its own centre that a site goes in one round: 1 - (1 - lr h)^K.
double share_of_way(const Quadratic& site, double lr) {
  return 1 - std::pow(1 - lr * site.curvature, static_cast<double>(site.steps));
}

double update_of(const Quadratic& site, double w, double lr) {
  return share_of_way(site, lr) * (site.centre - w);
}

template <class Sites>
double after_rounds(const Sites& sites, const StrategySpec& spec, double lr, int rounds) {
  double w = 0;
  for (int round = 0; round < rounds; ++round) {
    TestCohort cohort;
    for (const Quadratic& site : sites) {
      cohort.updates.push_back({static_cast<float>(update_of(site, w, lr))});
      cohort.weights.push_back(1);
      cohort.steps.push_back(site.steps);
    }
    w += merged(spec, cohort).front();
  }
  return w;
}

TEST(FedNova, FindsTheOptimumWhereFedAvgFollowsWhoeverTakesMostSteps) {
  constexpr double kRate = 1e-3;
  const double right = optimum(kSites);
  EXPECT_NEAR(right, 11.0 / 3, 1e-12);
  const double fed_avg = after_rounds(kSites, strategy("fedavg"), kRate, 3000);
  const double fed_nova = after_rounds(kSites, strategy("fednova"), kRate, 3000);
  // Where the updates cancel: sum s_i (e_i - w) = 0, for FedNova sum s_i / K_i (e_i - w) = 0.
  double pulls = 0;
  double shares = 0;
  double normalised_pulls = 0;
  double normalised_shares = 0;
  for (const Quadratic& site : kSites) {
    const double share = share_of_way(site, kRate);
    pulls += share * site.centre;
    shares += share;
    normalised_pulls += share / static_cast<double>(site.steps) * site.centre;
    normalised_shares += share / static_cast<double>(site.steps);
  }
  EXPECT_NEAR(fed_avg, pulls / shares, 1e-3);
  EXPECT_GT(std::abs(fed_avg - right), 4) << "(0 + 4 + 200) / 25 is far from 11 / 3";
  EXPECT_NEAR(fed_nova, normalised_pulls / normalised_shares, 1e-3);
  EXPECT_NEAR(fed_nova, right, 0.05) << "but for the curve of the last steps, a matter of the rate";
}

TEST(FedNova, IsFedAvgWhereAllTakeTheSameSteps) {
  auto cohort = random_cohort(4, 5, 100);
  cohort.steps.assign(5, 17);
  for (const double momentum : {0.0, 0.9}) {
    cohort.momentum = momentum;
    const auto nova = merged(strategy("fednova"), cohort);
    const auto mean = merged(strategy("fedavg"), cohort);
    for (std::size_t i = 0; i < nova.size(); ++i) {
      EXPECT_NEAR(nova[i], mean[i], 1e-12);
    }
  }
}

// What sgd with momentum and with a proximal term really do with gradients of 1, step by step.
TEST(FedNova, KnowsWhatTheStepsOfEachSolverComeTo) {
  for (const std::uint64_t steps : {1U, 2U, 7U, 500U}) {
    double moment = 0;
    double with_momentum = 0;
    double with_pull = 0;
    for (std::uint64_t step = 0; step < steps; ++step) {
      moment = 0.9 * moment + 1;
      with_momentum += moment;
      with_pull = (1 - 0.05) * with_pull + 1;
    }
    EXPECT_NEAR(step_norm(steps, {.momentum = 0.9, .prox_rate = 0}), with_momentum,
                1e-9 * with_momentum);
    EXPECT_NEAR(step_norm(steps, {.momentum = 0, .prox_rate = 0.05}), with_pull, 1e-9 * with_pull);
    EXPECT_EQ(step_norm(steps, {}), static_cast<double>(steps));
    EXPECT_NEAR(step_norm(steps, {.momentum = 0, .prox_rate = 1e-14}), static_cast<double>(steps),
                1e-8);
  }
}

// By hand: two sites with 1 and 3 steps, updates 1 and 3: both took steps of 1. tau_eff is 2.
TEST(FedNova, MultipliesTheMeanStepByTheMeanNumberOfSteps) {
  TestCohort cohort{{{1}, {3}}, {1, 1}, {1, 3}};
  EXPECT_NEAR(merged(strategy("fednova"), cohort).front(), 2, 1e-12);
  cohort.updates = {{1}, {0}};
  EXPECT_NEAR(merged(strategy("fednova"), cohort).front(), 1, 1e-12);
  cohort.weights = {1, 3};  // tau_eff = 2.5, p = 1/4
  EXPECT_NEAR(merged(strategy("fednova"), cohort).front(), 2.5 / 4, 1e-12);
}

// SCAFFOLD, Algorithm 1 with option II, as server and sites divide it up. Local training is that of
// F_i(w) + (c - c_i) w, a quadratic with its centre moved by (c_i - c) / h_i.
double scaffold_after_rounds(double lr, int rounds) {
  double w = 0;
  double control = 0;
  std::array<double, kShapes.size()> controls{};
  for (int round = 0; round < rounds; ++round) {
    TestCohort models;
    TestCohort changes;
    for (std::size_t i = 0; i < kShapes.size(); ++i) {
      Quadratic corrected = kShapes.at(i);
      corrected.centre += (controls.at(i) - control) / corrected.curvature;
      const double update = update_of(corrected, w, lr);
      const double change = -control - update / (static_cast<double>(corrected.steps) * lr);
      controls.at(i) += change;
      models.updates.push_back({static_cast<float>(update)});
      changes.updates.push_back({static_cast<float>(change)});
      models.weights.push_back(1);
      changes.weights.push_back(1);
    }
    w += merged(strategy("scaffold"), models).front();
    control += merged(strategy("scaffold"), changes).front();
  }
  return w;
}

TEST(Scaffold, FindsTheOptimumWhereFedAvgDriftsFromIt) {
  constexpr double kRate = 0.05;
  const double right = optimum(kShapes);
  EXPECT_NEAR(right, 41.0 / 5.2, 1e-12);
  const double fed_avg = after_rounds(kShapes, strategy("fedavg"), kRate, 400);
  double pulls = 0;
  double shares = 0;
  for (const Quadratic& site : kShapes) {
    pulls += share_of_way(site, kRate) * site.centre;
    shares += share_of_way(site, kRate);
  }
  EXPECT_NEAR(fed_avg, pulls / shares, 1e-4);
  EXPECT_GT(std::abs(fed_avg - right), 0.5);
  EXPECT_NEAR(scaffold_after_rounds(kRate, 400), right, 1e-4);
}

}  // namespace
}  // namespace entente::broker
