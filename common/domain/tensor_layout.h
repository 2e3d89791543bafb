// Names, shapes and order of a model's tensors: what a model file, an update and a merge agree on.
//
// All exchanged tensors are float32. The order is that of the layers; within a layer weight before
// bias. A model flattened in this order is the vector that strategies work on.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/domain/model_spec.h"

namespace entente {

struct TensorInfo {
  std::string name;  // "conv1.weight"
  Shape shape;       // empty for a scalar

  [[nodiscard]] std::uint64_t elements() const;
  bool operator==(const TensorInfo&) const = default;
};

struct TensorLayout {
  std::vector<TensorInfo> tensors;

  [[nodiscard]] std::uint64_t elements() const;
  bool operator==(const TensorLayout&) const = default;
};

}  // namespace entente
