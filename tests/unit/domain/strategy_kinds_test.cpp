#include "common/domain/strategy_kinds.h"

#include <gtest/gtest.h>

#include <cmath>

namespace entente {
namespace {

StrategySpec spec(const std::string& kind, std::map<std::string, double> parameters = {}) {
  StrategySpec strategy;
  strategy.kind = kind;
  strategy.parameters = std::move(parameters);
  return strategy;
}

std::string refusal(const StrategySpec& strategy, std::size_t updates = 100) {
  const auto checked = check_strategy(strategy, updates);
  return checked ? "" : checked.error().message;
}

TEST(StrategyKinds, AreLegalWithTheirDefaults) {
  for (const auto& name : strategy_names()) {
    EXPECT_EQ(refusal(spec(name)), "") << name;
    const auto* kind = find_strategy_kind(name);
    for (const auto& parameter : kind->parameters) {
      EXPECT_EQ(refusal(spec(name, {{std::string(parameter.name), parameter.fallback}})), "")
          << name << "." << parameter.name;
    }
  }
}

TEST(StrategyKinds, RefuseEveryValueOutsideARange) {
  for (const auto& name : strategy_names()) {
    for (const auto& parameter : find_strategy_kind(name)->parameters) {
      for (const double value : {-1.0, std::nan(""), 1e300}) {
        EXPECT_NE(refusal(spec(name, {{std::string(parameter.name), value}})), "")
            << name << "." << parameter.name << " = " << value;
      }
    }
  }
}

TEST(StrategyKinds, SayWhichValuesAreAllowed) {
  EXPECT_EQ(refusal(spec("fedadam", {{"beta2", 1}})),
            "strategy.beta2 is 1, must be at least 0 and below 1");
  EXPECT_EQ(refusal(spec("fedadam", {{"tau", 0}})),
            "strategy.tau is 0, must be above 0 and at most 1000000000000");
  EXPECT_EQ(refusal(spec("krum", {{"byzantine", 1.5}})),
            "strategy.byzantine is 1.5, must be a whole number, at least 0 and at most 10000");
}

TEST(StrategyKinds, SuggestTheParameterThatWasMeant) {
  EXPECT_EQ(refusal(spec("fedadam", {{"beta_1", 0.9}})),
            "strategy.\"beta_1\" is not a parameter of fedadam; did you mean \"beta1\"?");
}

TEST(StrategyKinds, RefuseAQuorumOutsideTheGuarantee) {
  EXPECT_EQ(refusal(spec("krum"), 5), "");
  EXPECT_EQ(
      refusal(spec("krum"), 4),
      "krum with byzantine = 1 needs at least 5 updates (2f + 3), there are 4 in a round that "
      "closes at its quorum");
  EXPECT_EQ(refusal(spec("bulyan", {{"byzantine", 2}}), 11), "");
  EXPECT_NE(refusal(spec("bulyan", {{"byzantine", 2}}), 10), "");
  EXPECT_EQ(refusal(spec("median", {{"byzantine", 2}}), 5), "");
  EXPECT_NE(refusal(spec("median", {{"byzantine", 2}}), 4), "");
  EXPECT_NE(refusal(spec("multi_krum", {{"m", 5}}), 5), "");
  EXPECT_EQ(refusal(spec("multi_krum", {{"m", 4}}), 5), "");
  EXPECT_NE(refusal(spec("trimmed_mean", {{"byzantine", 2}}), 5), "");
  EXPECT_EQ(refusal(spec("trimmed_mean", {{"byzantine", 2}}), 10), "");
}

TEST(StrategyKinds, RefuseWeightsWhereTheyMeanNothing) {
  EXPECT_EQ(refusal(spec("median", {{"weight_cap", 0.5}})),
            "strategy.weight_cap has no effect: median takes all updates for the same");
  auto weighted = spec("bulyan");
  weighted.weights = Weighting::given;
  weighted.site_weights = {{SiteId::literal("north"), 2}};
  EXPECT_EQ(refusal(weighted),
            "strategy.weights has no effect: bulyan takes all updates for the same");
}

TEST(StrategyKinds, RefuseACapThatTheSharesCannotKeep) {
  EXPECT_EQ(refusal(spec("fedavg", {{"weight_cap", 0.25}}), 4), "");
  EXPECT_EQ(
      refusal(spec("fedavg", {{"weight_cap", 0.25}}), 3),
      "strategy.weight_cap is 0.25, and a round may have 3 updates: their shares could not add "
      "up to 1");
}

TEST(StrategyKinds, RefuseWeightsThatAreNone) {
  auto weighted = spec("fedavg");
  weighted.weights = Weighting::given;
  EXPECT_NE(refusal(weighted), "");
  for (const double weight : {0.0, -1.0, std::nan(""), 1e300}) {
    weighted.site_weights = {{SiteId::literal("north"), weight}};
    EXPECT_NE(refusal(weighted), "") << weight;
  }
}

TEST(TrimmedMean, LeavesOutTheShareDespiteBinaryFractions) {
  EXPECT_EQ(trimmed_at_each_end(spec("trimmed_mean", {{"beta", 0.29}}), 100), 29U);
  EXPECT_EQ(trimmed_at_each_end(spec("trimmed_mean", {{"beta", 0.49999999999999}}), 10'000), 4999U);
  EXPECT_EQ(trimmed_at_each_end(spec("trimmed_mean"), 7), 1U);
}

}  // namespace
}  // namespace entente
