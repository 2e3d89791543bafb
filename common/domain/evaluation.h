// How good an evaluation says a model is, so that versions can be compared.
#pragma once

#include <optional>

#include "common/domain/task.h"

namespace entente {

// Higher is better: the accuracy where it was measured, the loss with its sign turned otherwise.
// Nothing when neither was.
[[nodiscard]] inline std::optional<double> evaluation_score(const Metrics& metrics) {
  if (const auto accuracy = metrics.find("accuracy"); accuracy != metrics.end()) {
    return accuracy->second;
  }
  if (const auto loss = metrics.find("loss"); loss != metrics.end()) {
    return -loss->second;
  }
  return std::nullopt;
}

}  // namespace entente
