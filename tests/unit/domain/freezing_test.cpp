#include "common/domain/freezing.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace entente {
namespace {

ResolvedModel model() {
  const LayerSpec wide{"linear", "features", {{"out_features", std::int64_t{3}}}};
  auto resolved = resolve_model({{4},
                                 {wide,
                                  {"batch_norm", "norm", {}},
                                  {"linear", "output", {{"out_features", std::int64_t{2}}}}}});
  return std::move(*resolved);
}

// In the order of the layout: features, norm with its statistics, output.
std::string frozen(const std::vector<std::string>& patterns) {
  const auto which = frozen_tensors(patterns, model());
  if (!which) {
    return which.error().code;
  }
  std::string marks;
  for (const bool is_frozen : *which) {
    marks += is_frozen ? 'x' : '.';
  }
  return marks;
}

TEST(Freezing, APatternIsANameWithStars) {
  EXPECT_EQ(frozen({}), "........");
  EXPECT_EQ(frozen({"features.*"}), "xx......");
  EXPECT_EQ(frozen({"*.weight", "norm.running_*"}), "x.x.xxx.");
  EXPECT_EQ(frozen({"norm.bias"}), "...x....");
  EXPECT_EQ(frozen({"*t*.*s"}), ".x.....x") << "features.bias and output.bias";
}

TEST(Freezing, WhatMatchesNothingOrLeavesNothingIsRefused) {
  EXPECT_EQ(frozen({"feature.*"}), "job_invalid");
  EXPECT_EQ(frozen({""}), "job_invalid");
  EXPECT_EQ(frozen({"*"}), "job_invalid");
  EXPECT_EQ(frozen({"*.weight", "*.bias"}), "job_invalid") << "statistics alone are not trained";
  EXPECT_EQ(frozen(std::vector<std::string>(65, "*.bias")), "job_invalid");
}

TEST(Freezing, APatternOfManyStarsIsQuick) {
  std::string stars;
  for (int i = 0; i < 120; ++i) {
    stars += "*a";
  }
  EXPECT_EQ(frozen({stars}), "job_invalid");
}

}  // namespace
}  // namespace entente
