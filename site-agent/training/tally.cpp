#include "site-agent/training/tally.h"

#include <cmath>
#include <string>
#include <vector>

#include "common/domain/measures.h"

namespace entente::agent {
namespace {

using torch::Tensor;

// A single score is for the class 1, above 0; of two scores the difference is.
Tensor said_of(const Tensor& outputs) {
  return outputs.size(1) == 1 ? outputs.squeeze(1).gt(0).to(torch::kInt64) : outputs.argmax(1);
}

Tensor score_of_two(const Tensor& outputs) {
  return outputs.size(1) == 1 ? outputs.squeeze(1) : outputs.select(1, 1) - outputs.select(1, 0);
}

Tensor bins_of(const Tensor& scores) {
  const auto exact = scores.to(torch::kFloat64);
  const auto place = (1 + exact / (1 + exact.abs())) / 2 * static_cast<double>(kScoreBins);
  return place.floor().clamp(0, static_cast<double>(kScoreBins - 1)).to(torch::kInt64);
}

}  // namespace

void Tally::add(double mean_loss, double weight, const Tensor& outputs, const Tensor& labels) {
  add(sums::kCount, static_cast<double>(outputs.size(0)));
  add(sums::kLoss, mean_loss * weight);
  add(sums::kLossWeight, weight);
  if (!std::isfinite(mean_loss)) {
    return;  // nothing else can be said of outputs that are no numbers
  }
  if (!labels.is_floating_point()) {
    count_classes(outputs, labels);
  } else if (loss_ == Loss::bce) {
    count_answers(outputs, labels);
  } else {
    count_numbers(outputs, labels);
  }
}

void Tally::count_classes(const Tensor& outputs, const Tensor& labels) {
  const auto classes = classes_of(loss_, outputs.size(1));
  const auto said = said_of(outputs);
  if (detail_ == Detail::training || classes > kCountedClassesMax) {
    add(sums::kCorrect, said.eq(labels).sum().item<double>());
    return;
  }
  if (classes <= kConfusionClassesMax) {
    add(sums::kConfusion, torch::bincount(labels * classes + said, {}, classes * classes));
  } else {
    add(sums::kHits, torch::bincount(labels.masked_select(said.eq(labels)), {}, classes));
    add(sums::kSaid, torch::bincount(said, {}, classes));
    add(sums::kTrue, torch::bincount(labels, {}, classes));
  }
  if (classes == 2) {
    constexpr auto kBins = static_cast<std::int64_t>(kScoreBins);
    add(sums::kScores,
        torch::bincount(labels * kBins + bins_of(score_of_two(outputs)), {}, 2 * kBins));
  }
}

void Tally::count_numbers(const Tensor& outputs, const Tensor& targets) {
  const auto exact = targets.to(torch::kFloat64);
  const auto off = outputs.to(torch::kFloat64) - exact;
  add(sums::kAbsoluteError, off.abs().sum(0));
  add(sums::kSquaredError, off.square().sum(0));
  if (detail_ == Detail::evaluation) {
    add(sums::kTarget, exact.sum(0));
    add(sums::kTargetSquared, exact.square().sum(0));
  }
}

// Of answers that are shares rather than yes or no, more than half is a yes.
void Tally::count_answers(const Tensor& outputs, const Tensor& targets) {
  const auto said = outputs.gt(0);
  const auto is = targets.gt(0.5);
  const std::vector<Tensor> kinds{said & is, said & is.logical_not(), said.logical_not() & is,
                                  said.logical_not() & is.logical_not()};
  add(sums::kAnswers, torch::stack(kinds, 2).sum(0).flatten());
}

void Tally::add(std::string_view name, double value) {
  auto& sum = sums_[std::string(name)];
  sum.resize(1);
  sum.front() += value;
}

void Tally::add(std::string_view name, const Tensor& values) {
  const auto here = values.to(torch::kCPU, torch::kFloat64).contiguous();
  auto& sum = sums_[std::string(name)];
  sum.resize(static_cast<std::size_t>(here.numel()));
  const auto* value = here.data_ptr<double>();
  for (auto& each : sum) {
    each += *value++;
  }
}

}  // namespace entente::agent
