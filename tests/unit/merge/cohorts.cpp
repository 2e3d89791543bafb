#include "tests/unit/merge/cohorts.h"

#include <gtest/gtest.h>
#include <hwy/targets.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <random>

#include "broker/merge/strategy.h"
#include "broker/merge/threaded_sweep.h"

namespace entente::broker {
namespace {

// A distribution's numbers differ between standard libraries.
float next_float(std::mt19937_64& random) {
  const double unit = static_cast<double>(random() >> 11) * 0x1p-53;
  const int exponent = static_cast<int>(random() % 8) - 4;
  return static_cast<float>(std::ldexp(2 * unit - 1, exponent));
}

}  // namespace

TestCohort random_cohort(std::uint64_t seed, std::size_t sites, std::size_t elements) {
  std::mt19937_64 random(seed);
  TestCohort cohort;
  for (std::size_t site = 0; site < sites; ++site) {
    Vector update(elements);
    std::generate(update.begin(), update.end(), [&] { return next_float(random); });
    cohort.updates.push_back(std::move(update));
    cohort.weights.push_back(static_cast<double>(1 + random() % 1000));
  }
  return cohort;
}

TestCohort seven_sites() {
  return {
      {{1, 2}, {1.1F, 1.9F}, {.9F, 2.1F}, {1.05F, 2.05F}, {.95F, 1.95F}, {1.2F, 2.2F}, {10, -10}},
      std::vector<double>(7, 1.0)};
}

StrategySpec strategy(const std::string& kind, std::map<std::string, double> parameters) {
  StrategySpec spec;
  spec.kind = kind;
  spec.parameters = std::move(parameters);
  return spec;
}

std::vector<double> merged(const StrategySpec& spec, const TestCohort& cohort,
                           std::size_t threads) {
  std::vector<FlatValues> values;
  for (const auto& update : cohort.updates) {
    values.emplace_back(update);
  }
  Cohort updates;
  for (const auto& value : values) {
    updates.updates.push_back(&value);
  }
  updates.weights = cohort.weights;
  updates.losses.assign(cohort.updates.size(), 0.5);
  updates.local_lr = 0.1;
  updates.local_momentum = cohort.momentum;
  updates.prox_mu = cohort.prox_mu;
  updates.steps = cohort.steps;
  updates.steps.resize(cohort.updates.size(), 1);
  ThreadedSweep sweep(threads);
  const auto rule = prepare_rule(spec, updates, sweep);
  EXPECT_TRUE(rule) << rule.error().message;
  std::vector<double> result(cohort.size());
  sweep.each(cohort.size(), [&](Range range) {
    for_each_block(rule->updates, range, [&](Rows rows, std::size_t start, std::size_t count) {
      rule->merge(rows, std::span(result).subspan(start, count));
    });
  });
  return result;
}

TestCohort reordered(const TestCohort& cohort, const std::vector<std::size_t>& order) {
  TestCohort other;
  for (const std::size_t site : order) {
    other.updates.push_back(cohort.updates[site]);
    other.weights.push_back(cohort.weights[site]);
  }
  return other;
}

bool same_bits(std::span<const double> a, std::span<const double> b) {
  const auto bits = [](double value) { return std::bit_cast<std::uint64_t>(value); };
  return std::ranges::equal(a, b, {}, bits, bits);
}

void on_every_instruction_set(const std::function<void(const char* name)>& body) {
  for (std::int64_t rest = hwy::SupportedTargets() & HWY_TARGETS; rest != 0; rest &= rest - 1) {
    const std::int64_t target = rest & -rest;
    hwy::SetSupportedTargetsForTest(target);
    body(hwy::TargetName(target));
    hwy::SetSupportedTargetsForTest(0);
  }
}

const std::vector<std::size_t>& lengths() {
  static const std::vector<std::size_t> all{1, 2, 7, 8, 9, 16, 17, 2047, 2048, 2049, 5000};
  return all;
}

}  // namespace entente::broker
