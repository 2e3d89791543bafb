// Norm clipping: no update is longer than `norm_max` (Sun et al. 2019, "Can You Really Backdoor
// Federated Learning?", arXiv:1911.07963).
//
//   x_i * min(1, norm_max / |x_i|)
//
// Comes before any other rule, as updates that read like the originals. Pure.
#pragma once

#include <cstddef>
#include <vector>

#include "broker/merge/strategies/sweep.h"
#include "broker/merge/strategies/update_values.h"

namespace entente::broker {

// Another update's values times a factor. `values` outlives it.
class ScaledValues final : public UpdateValues {
 public:
  ScaledValues(const UpdateValues& values, double factor) : values_(values), factor_(factor) {}
  [[nodiscard]] std::size_t size() const override { return values_.size(); }
  [[nodiscard]] const float* block(std::size_t start, std::size_t count,
                                   float* scratch) const override;

 private:
  const UpdateValues& values_;
  double factor_;
};

// min(1, norm_max / |x_i|) of every update.
[[nodiscard]] std::vector<double> clipping_factors(Updates updates, double norm_max, Sweep& sweep);

}  // namespace entente::broker
