#include "common/domain/measures.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

#include "common/base/limits.h"

namespace entente {
namespace {

constexpr double kNearly = 1e-12;

Sums of(std::map<std::string_view, std::vector<double>> values) {
  Sums sums;
  for (auto& [name, numbers] : values) {
    sums.emplace(name, std::move(numbers));
  }
  return sums;
}

// sklearn.metrics.f1_score of y_true = [0]*4 + [1]*3 + [2]*3, y_pred = 0,0,1,2, 1,1,0, 2,2,2:
// classes 2/3, 2/3, 6/7; macro 0.7302.
TEST(Measures, ClassesHaveAccuracyAndMacroF1) {
  const auto metrics = metrics_from(of({{sums::kCount, {10}},
                                        {sums::kLoss, {5}},
                                        {sums::kLossWeight, {10}},
                                        {sums::kConfusion, {2, 1, 1, 1, 2, 0, 0, 0, 3}}}));
  EXPECT_EQ(metrics.at("loss"), 0.5);
  EXPECT_EQ(metrics.at("accuracy"), 0.7);
  EXPECT_NEAR(metrics.at("f1_macro"), (4.0 / 7 + 4.0 / 6 + 6.0 / 7) / 3, kNearly);
  EXPECT_FALSE(metrics.contains("auroc"));
}

TEST(Measures, CountsByClassGiveWhatTheConfusionMatrixGives) {
  const auto matrix =
      metrics_from(of({{sums::kCount, {10}}, {sums::kConfusion, {2, 1, 1, 1, 2, 0, 0, 0, 3}}}));
  const auto counts = metrics_from(of({{sums::kCount, {10}},
                                       {sums::kHits, {2, 2, 3}},
                                       {sums::kSaid, {3, 3, 4}},
                                       {sums::kTrue, {4, 3, 3}}}));
  EXPECT_EQ(matrix, counts);
}

std::size_t bin_of(double score) {
  return static_cast<std::size_t>((1 + score / (1 + std::abs(score))) / 2 * kScoreBins);
}

Sums scored(const std::vector<double>& scores, const std::vector<int>& labels) {
  std::vector<double> histogram(2 * kScoreBins);
  std::vector<double> confusion(4);
  for (std::size_t i = 0; i < scores.size(); ++i) {
    histogram[static_cast<std::size_t>(labels[i]) * kScoreBins + bin_of(scores[i])] += 1;
    confusion[static_cast<std::size_t>(labels[i]) * 2 + (scores[i] > 0 ? 1 : 0)] += 1;
  }
  return of({{sums::kCount, {static_cast<double>(scores.size())}},
             {sums::kConfusion, confusion},
             {sums::kScores, histogram}});
}

// sklearn.metrics.roc_auc_score([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]) is 0.75, in its documentation.
TEST(Measures, TwoClassesHaveTheAreaUnderTheCurve) {
  EXPECT_NEAR(metrics_from(scored({0.1, 0.4, 0.35, 0.8}, {0, 0, 1, 1})).at("auroc"), 0.75, kNearly);
  EXPECT_NEAR(metrics_from(scored({2, 2}, {0, 1})).at("auroc"), 0.5, kNearly) << "a tie is half";
  EXPECT_FALSE(metrics_from(scored({1, 2}, {1, 1})).contains("auroc")) << "one class only";
}

TEST(Measures, TheAreaFromBinsIsNearThatOfAllPairs) {
  std::mt19937_64 random(3);
  std::normal_distribution<double> noise(0, 3);
  std::vector<double> scores;
  std::vector<int> labels;
  for (int i = 0; i < 1000; ++i) {
    labels.push_back(i % 3 == 0 ? 1 : 0);
    scores.push_back(noise(random) + 2 * labels.back());
  }
  double pairs = 0;
  double ordered = 0;
  for (std::size_t i = 0; i < scores.size(); ++i) {
    for (std::size_t j = 0; j < scores.size(); ++j) {
      if (labels[i] == 1 && labels[j] == 0) {
        ++pairs;
        ordered += scores[i] > scores[j] ? 1 : scores[i] == scores[j] ? 0.5 : 0;
      }
    }
  }
  EXPECT_NEAR(metrics_from(scored(scores, labels)).at("auroc"), ordered / pairs, 1e-3);
}

// By hand, targets 1, 2, 3 and 10, 10, 40; answers 1, 2, 5 and 10, 20, 30.
TEST(Measures, NumbersHaveErrorsAndTheirShareOfTheVariance) {
  const auto metrics = metrics_from(of({{sums::kCount, {3}},
                                        {sums::kAbsoluteError, {2, 20}},
                                        {sums::kSquaredError, {4, 200}},
                                        {sums::kTarget, {6, 60}},
                                        {sums::kTargetSquared, {14, 1800}}}));
  EXPECT_NEAR(metrics.at("mae"), 22.0 / 6, kNearly);
  EXPECT_NEAR(metrics.at("mse"), 34, kNearly);
  EXPECT_NEAR(metrics.at("r2"), ((1 - 4.0 / 2) + (1 - 200.0 / 600)) / 2, kNearly);
}

TEST(Measures, WithoutVarianceThereIsNoShareOfIt) {
  EXPECT_FALSE(metrics_from(of({{sums::kCount, {2}},
                                {sums::kAbsoluteError, {1}},
                                {sums::kSquaredError, {1}},
                                {sums::kTarget, {4}},
                                {sums::kTargetSquared, {8}}}))
                   .contains("r2"));
}

// By hand: F1 of 2/3 and 1; together 2*3/(3+1) of 5 and 3.
TEST(Measures, QuestionsHaveMicroAndMacroF1) {
  const auto metrics =
      metrics_from(of({{sums::kCount, {4}}, {sums::kAnswers, {1, 1, 0, 2, 2, 0, 0, 2}}}));
  EXPECT_EQ(metrics.at("accuracy"), 7.0 / 8);
  EXPECT_NEAR(metrics.at("f1_macro"), (2.0 / 3 + 1) / 2, kNearly);
  EXPECT_NEAR(metrics.at("f1_micro"), 6.0 / 7, kNearly);
}

TEST(Measures, OfSeveralSitesAreThoseOfTheirExamplesTogether) {
  const std::vector<double> scores{0.1, 0.4, 0.35, 0.8, -2, 3, 0.2};
  const std::vector<int> labels{0, 0, 1, 1, 0, 1, 0};
  Sums total;
  ASSERT_TRUE(add(total, scored({0.1, 0.4, 0.35}, {0, 0, 1})));
  ASSERT_TRUE(add(total, scored({0.8, -2, 3, 0.2}, {1, 0, 1, 0})));
  EXPECT_EQ(metrics_from(total), metrics_from(scored(scores, labels)));
}

TEST(Measures, SumsOfAnotherKindAreNotAdded) {
  auto total = scored({1}, {1});
  const auto before = total;
  EXPECT_FALSE(add(total, of({{sums::kCount, {1}}})));
  EXPECT_FALSE(add(total, of({{sums::kCount, {1}},
                              {sums::kConfusion, std::vector<double>(9)},
                              {sums::kScores, std::vector<double>(2 * kScoreBins)}})));
  EXPECT_EQ(total, before);
}

TEST(Measures, WhateverASiteClaimsTheMetricsAreFinite) {
  constexpr double kHuge = std::numeric_limits<double>::max();
  for (const double value : {kHuge, -kHuge, 0.0, -1.0}) {
    for (const auto size : {0, 1, 2, 3, 4, 5, 9}) {
      Sums hostile;
      for (const auto name :
           {sums::kLoss, sums::kLossWeight, sums::kCorrect, sums::kConfusion, sums::kHits,
            sums::kSaid, sums::kTrue, sums::kAbsoluteError, sums::kSquaredError, sums::kTarget,
            sums::kTargetSquared, sums::kAnswers}) {
        hostile[std::string(name)].assign(static_cast<std::size_t>(size), value);
      }
      hostile["scores"].assign(2 * kScoreBins, value);
      hostile["count"] = {1};
      for (const auto& [name, metric] : metrics_from(hostile)) {
        EXPECT_TRUE(std::isfinite(metric)) << name << " of " << value << " x " << size;
      }
    }
  }
}

TEST(Measures, TheLargestSumsAreWithinWhatAResultMayHold) {
  EXPECT_LE(kConfusionClassesMax * kConfusionClassesMax + 2, limits::kSumValuesPerResultMax);
  EXPECT_LE(3 * kCountedClassesMax + 2, limits::kSumValuesPerResultMax);
  EXPECT_LE(2 * kScoreBins + 4 + 2, limits::kSumValuesPerResultMax);
}

}  // namespace
}  // namespace entente
