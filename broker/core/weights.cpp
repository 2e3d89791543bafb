#include "broker/core/weights.h"

#include <algorithm>
#include <cstddef>
#include <functional>
#include <numeric>

#include "common/base/check.h"
#include "common/domain/strategy_kinds.h"

namespace entente::broker {
namespace {

double weight_of(const StrategySpec& strategy, const TaskRow& task) {
  switch (strategy.weights) {
    case Weighting::examples:
      return static_cast<double>(task.result.examples);
    case Weighting::steps:
      return static_cast<double>(task.result.steps);
    case Weighting::uniform:
      return 1;
    case Weighting::given: {
      const auto given = strategy.site_weights.find(task.key.site);
      return given == strategy.site_weights.end() ? 1 : given->second;
    }
  }
  return 1;
}

}  // namespace

std::vector<double> cap_shares(std::vector<double> weights, double cap) {
  ENTENTE_CHECK(cap > 0 && cap * static_cast<double>(weights.size()) >= 1);
  auto sorted = weights;
  std::sort(sorted.begin(), sorted.end(), std::greater<>());
  double rest = std::accumulate(sorted.begin(), sorted.end(), 0.0);
  // With the k largest at the bound: bound = cap * (k * bound + rest). The smallest k that leaves
  // nobody else above it is the right one.
  for (std::size_t k = 0; k < sorted.size(); ++k) {
    const double free_share = 1 - cap * static_cast<double>(k);
    const double bound = free_share > 0 ? cap * rest / free_share : sorted[k];
    if (sorted[k] <= bound) {
      for (double& weight : weights) {
        weight = std::min(weight, bound);
      }
      return weights;
    }
    rest -= sorted[k];
  }
  return std::vector<double>(weights.size(), sorted.back());
}

std::vector<double> merge_weights(const StrategySpec& strategy,
                                  const std::vector<const TaskRow*>& done) {
  const auto* kind = find_strategy_kind(strategy.kind);
  ENTENTE_CHECK(kind != nullptr);
  std::vector<double> weights;
  for (const auto* task : done) {
    weights.push_back(kind->is_weighted ? weight_of(strategy, *task) : 1);
  }
  const double cap = strategy_parameter(strategy, kWeightCap);
  return cap > 0 ? cap_shares(std::move(weights), cap) : weights;
}

}  // namespace entente::broker
