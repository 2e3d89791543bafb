// How good a model is: metrics, and the sums over examples that they follow from.
//
// A site counts; metrics are computed from the counts, by the same function at the site and
// wherever the counts of several sites have been added up. So the metrics over several sites are
// exactly those of their examples taken together, which no mean of metrics would be.
//
//   of classes     loss, accuracy, f1_macro; of two classes also f1 (of class 1) and auroc
//   of numbers     loss, mae, mse, r2 (each output alike)
//   of questions   loss, accuracy, f1_macro, f1_micro (each output a yes or no)
//
// For one class of many, micro F1 is the accuracy. AUROC comes from a histogram of scores, so that
// it adds up: it is exact but for scores that share a bin, whose order counts as a tie. A metric
// that its sums leave undefined (no example of a class, no variance) is left out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "common/domain/task.h"

namespace entente {

namespace sums {
// Of everything: examples, the sum of their losses, each by its weight, and that of the weights.
constexpr std::string_view kCount = "count";
constexpr std::string_view kLoss = "loss";
constexpr std::string_view kLossWeight = "loss_weight";
// Of classes: how many were right; or [classes, classes], a row for each true class and a column
// for each class that the model said; or, of too many classes for that, three vectors [classes].
constexpr std::string_view kCorrect = "correct";
constexpr std::string_view kConfusion = "confusion";
constexpr std::string_view kHits = "hits";
constexpr std::string_view kSaid = "said";
constexpr std::string_view kTrue = "true";
// Of two classes: [2, kScoreBins], for each true class a histogram of scores for class 1.
constexpr std::string_view kScores = "scores";
// Of numbers: each [outputs].
constexpr std::string_view kAbsoluteError = "absolute_error";
constexpr std::string_view kSquaredError = "squared_error";
constexpr std::string_view kTarget = "target";
constexpr std::string_view kTargetSquared = "target_squared";
// Of questions: [outputs, 4]: true yes, false yes, false no, true no.
constexpr std::string_view kAnswers = "answers";
}  // namespace sums

// Score s is in bin floor((1 + s / (1 + |s|)) / 2 * kScoreBins): fine around 0, where scores are
// dense, and still apart far from it, where a sigmoid would be 0 or 1.
constexpr std::size_t kScoreBins = 2048;
// A confusion matrix is kept of so many classes, counts by class of so many more.
constexpr std::int64_t kConfusionClassesMax = 32;
constexpr std::int64_t kCountedClassesMax = 2048;

// Whatever they hold, what comes out is finite.
[[nodiscard]] Metrics metrics_from(const Sums& sums);

// Adds `more` to `total`, which may be empty. False, and nothing changed, when the two are not sums
// of the same kind of model.
[[nodiscard]] bool add(Sums& total, const Sums& more);

}  // namespace entente
