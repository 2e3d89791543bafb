// The guard that every update and model passes before it is used: all values finite, and together
// not longer than a bound. Used by common/tensors only.
#pragma once

#include <span>

#include "common/base/refusal.h"
#include "common/domain/tensor_layout.h"
#include "common/tensors/safetensors.h"

namespace entente {

// Lanes with an order of their own, so that the sum does not depend on how it is vectorised. Finite
// floats cannot overflow a double here: the sum is finite exactly when every value is.
[[nodiscard]] double sum_of_squares(std::span<const float> values);

class NormGuard {
 public:
  explicit NormGuard(double l2_norm_max) : l2_norm_max_(l2_norm_max) {}

  // The next tensor's. Refuses with "not_finite", naming the tensor.
  [[nodiscard]] Expected<void> add(const TensorInfo& tensor, double squares);
  // Refuses with "norm_too_large".
  [[nodiscard]] Expected<TensorCheck> finish() const;

 private:
  const double l2_norm_max_;
  double sum_ = 0;
};

}  // namespace entente
