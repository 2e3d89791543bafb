// Small updates for the tests of this folder: one tensor "w" in the safetensors format, or one
// value of it in topk.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "common/domain/tensor_layout.h"

namespace entente::broker {

[[nodiscard]] std::shared_ptr<const TensorLayout> layout_of(std::int64_t elements);
// The bytes of a safetensors file; written by hand, so that values a writer of ours would never
// emit are possible.
[[nodiscard]] std::string tensor_bytes(const std::vector<float>& values);
[[nodiscard]] std::string sparse_bytes(std::int32_t place, float value);

}  // namespace entente::broker
