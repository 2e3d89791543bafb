// The JSON header of a safetensors file, to and from our own types. Used by safetensors.cpp only.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/refusal.h"
#include "common/domain/tensor_layout.h"
#include "common/tensors/safetensors.h"

namespace entente {

// What a header promises about the data that follows it: tensors one after the other without a gap,
// `offsets[i]` being the first byte of tensor i and `offsets.back()` their end.
struct TensorHeader {
  TensorLayout layout;
  TensorMetadata metadata;
  std::vector<std::uint64_t> offsets;
};

// Refuses with "tensors_invalid" whatever the format does not allow: an unknown or repeated key, a
// value of another kind, a dtype that is none of `dtypes`, a size that is not the shape's, a gap or
// an overlap. The JSON is read as a stream of tokens, so nothing is built that the format does not
// have.
[[nodiscard]] Expected<TensorHeader> parse_tensor_header(std::string_view json,
                                                         std::span<const DType> dtypes);

// "__metadata__" first, if there is any, then the tensors in order; padded with spaces so that the
// data starts at a multiple of 8 bytes.
[[nodiscard]] std::string write_tensor_header(const TensorLayout& layout,
                                              const TensorMetadata& metadata);

}  // namespace entente
