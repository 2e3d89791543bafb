// Names, shapes and order of a model's tensors: what a model file, an update and a merge agree on.
//
// A model's tensors are float32; those of an update may be written down otherwise
// (update_encodings.h). The order is that of the layers; within a layer weight before bias. A model
// flattened in this order is the vector that strategies work on.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/domain/dtype.h"
#include "common/domain/model_spec.h"

namespace entente {

struct TensorInfo {
  std::string name;  // "conv1.weight"
  Shape shape;       // empty for a scalar
  DType dtype = DType::f32;

  // Both saturate: a shape that nobody has checked yet may be of any size.
  [[nodiscard]] std::uint64_t elements() const;
  [[nodiscard]] std::uint64_t bytes() const;
  bool operator==(const TensorInfo&) const = default;
};

struct TensorLayout {
  std::vector<TensorInfo> tensors;

  [[nodiscard]] std::uint64_t elements() const;
  [[nodiscard]] std::uint64_t bytes() const;
  bool operator==(const TensorLayout&) const = default;
};

}  // namespace entente
