#include "common/domain/measures.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>
#include <string>
#include <vector>

namespace entente {
namespace {

using Values = std::vector<double>;

const Values& values_of(const Sums& sums, std::string_view name) {
  static const Values kNone;
  const auto found = sums.find(std::string(name));
  return found == sums.end() ? kNone : found->second;
}

double total(const Values& values) { return std::accumulate(values.begin(), values.end(), 0.0); }

// Gathers what is defined.
class Gathered {
 public:
  void set(const char* name, double value) {
    if (std::isfinite(value)) {
      metrics_[name] = value;
    }
  }
  void set(const char* name, std::optional<double> value) {
    if (value) {
      set(name, *value);
    }
  }
  [[nodiscard]] Metrics take() { return std::move(metrics_); }

 private:
  Metrics metrics_;
};

// By class: examples of it that were found, that the model said were of it, and that are.
struct ByClass {
  Values hits;
  Values said;
  Values is;
};

ByClass by_class(const Sums& sums) {
  const auto& confusion = values_of(sums, sums::kConfusion);
  if (confusion.empty()) {
    return {values_of(sums, sums::kHits), values_of(sums, sums::kSaid),
            values_of(sums, sums::kTrue)};
  }
  const auto classes = static_cast<std::size_t>(std::lround(std::sqrt(confusion.size())));
  if (classes * classes != confusion.size()) {
    return {};
  }
  ByClass counts{Values(classes), Values(classes), Values(classes)};
  for (std::size_t row = 0; row < classes; ++row) {
    for (std::size_t column = 0; column < classes; ++column) {
      const double count = confusion[row * classes + column];
      counts.is[row] += count;
      counts.said[column] += count;
      counts.hits[row] += row == column ? count : 0;
    }
  }
  return counts;
}

// Of a class that neither is nor was said anywhere there is nothing to judge.
std::optional<double> f1(double hits, double said, double is) {
  return said + is > 0 ? std::optional(2 * hits / (said + is)) : std::nullopt;
}

class Mean {
 public:
  void add(std::optional<double> value) {
    if (value) {
      sum_ += *value;
      ++count_;
    }
  }
  [[nodiscard]] std::optional<double> value() const {
    return count_ > 0 ? std::optional(sum_ / count_) : std::nullopt;
  }

 private:
  double sum_ = 0;
  double count_ = 0;
};

// The share of pairs of examples, one of each class, in which the one of class 1 has the higher
// score; half of the ties.
std::optional<double> auroc(const Values& scores) {
  if (scores.size() != 2 * kScoreBins) {
    return std::nullopt;
  }
  double below = 0;
  double positives = 0;
  double pairs = 0;
  for (std::size_t bin = 0; bin < kScoreBins; ++bin) {
    const double negative = scores[bin];
    const double positive = scores[kScoreBins + bin];
    pairs += positive * (below + negative / 2);
    below += negative;
    positives += positive;
  }
  return below > 0 && positives > 0 ? std::optional(pairs / (below * positives)) : std::nullopt;
}

void measure_classes(const Sums& sums, double count, Gathered& metrics) {
  const auto& correct = values_of(sums, sums::kCorrect);
  if (correct.size() == 1) {
    metrics.set("accuracy", correct[0] / count);
    return;
  }
  const auto counts = by_class(sums);
  const auto classes = counts.hits.size();
  if (classes == 0 || counts.said.size() != classes || counts.is.size() != classes) {
    return;
  }
  metrics.set("accuracy", total(counts.hits) / count);
  Mean macro;
  for (std::size_t each = 0; each < classes; ++each) {
    macro.add(f1(counts.hits[each], counts.said[each], counts.is[each]));
  }
  metrics.set("f1_macro", macro.value());
  if (classes == 2) {
    metrics.set("f1", f1(counts.hits[1], counts.said[1], counts.is[1]));
    metrics.set("auroc", auroc(values_of(sums, sums::kScores)));
  }
}

void measure_numbers(const Sums& sums, double count, Gathered& metrics) {
  const auto& absolute = values_of(sums, sums::kAbsoluteError);
  const auto& squared = values_of(sums, sums::kSquaredError);
  const auto outputs = squared.size();
  if (outputs == 0 || absolute.size() != outputs) {
    return;
  }
  const auto values = count * static_cast<double>(outputs);
  metrics.set("mae", total(absolute) / values);
  metrics.set("mse", total(squared) / values);
  const auto& target = values_of(sums, sums::kTarget);
  const auto& target_squared = values_of(sums, sums::kTargetSquared);
  if (target.size() != outputs || target_squared.size() != outputs) {
    return;
  }
  Mean determined;
  for (std::size_t output = 0; output < outputs; ++output) {
    const double variance = target_squared[output] - target[output] * target[output] / count;
    // What rounding leaves of numbers that are all the same is no variance.
    const bool varies = variance > 1e-12 * target_squared[output];
    determined.add(varies ? std::optional(1 - squared[output] / variance) : std::nullopt);
  }
  metrics.set("r2", determined.value());
}

void measure_answers(const Sums& sums, double count, Gathered& metrics) {
  const auto& answers = values_of(sums, sums::kAnswers);
  if (answers.empty() || answers.size() % 4 != 0) {
    return;
  }
  const auto outputs = answers.size() / 4;
  double right = 0;
  double hits = 0;
  double said = 0;
  double is = 0;
  Mean macro;
  for (std::size_t output = 0; output < outputs; ++output) {
    const double* of = answers.data() + output * 4;
    right += of[0] + of[3];
    hits += of[0];
    said += of[0] + of[1];
    is += of[0] + of[2];
    macro.add(f1(of[0], of[0] + of[1], of[0] + of[2]));
  }
  metrics.set("accuracy", right / (count * static_cast<double>(outputs)));
  metrics.set("f1_macro", macro.value());
  metrics.set("f1_micro", f1(hits, said, is));
}

}  // namespace

Metrics metrics_from(const Sums& sums) {
  Gathered metrics;
  const auto& count = values_of(sums, sums::kCount);
  if (count.size() != 1 || !(count[0] > 0)) {
    return {};
  }
  const auto& loss = values_of(sums, sums::kLoss);
  const auto& weight = values_of(sums, sums::kLossWeight);
  if (loss.size() == 1 && weight.size() == 1 && weight[0] > 0) {
    metrics.set("loss", loss[0] / weight[0]);
  }
  measure_classes(sums, count[0], metrics);
  measure_numbers(sums, count[0], metrics);
  measure_answers(sums, count[0], metrics);
  return metrics.take();
}

bool add(Sums& total, const Sums& more) {
  if (total.empty()) {
    total = more;
    return true;
  }
  const bool is_alike = std::equal(
      total.begin(), total.end(), more.begin(), more.end(), [](const auto& a, const auto& b) {
        return a.first == b.first && a.second.size() == b.second.size();
      });
  if (!is_alike) {
    return false;
  }
  for (auto& [name, values] : total) {
    const auto& others = more.at(name);
    std::transform(values.begin(), values.end(), others.begin(), values.begin(), std::plus<>());
  }
  return true;
}

}  // namespace entente
