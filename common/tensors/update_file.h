// An update as it travels: a safetensors file in the encoding that its job has chosen
// (common/domain/update_encodings.h, docs/encodings.md), read as float32 values.
//
// Hostile until opened: a file that opens holds exactly the tensors of its encoding, scales that
// are scales, and places that are places. Values are decoded block by block into memory that the
// caller lends, so that nothing is ever inflated as a whole; those of float32 are read where they
// lie. Const and free of state after that: any number of threads may read the same update.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>

#include "common/base/refusal.h"
#include "common/domain/tensor_layout.h"
#include "common/domain/update_spec.h"
#include "common/tensors/safetensors.h"

namespace entente {

class UpdateFile {
 public:
  // Refuses with "tensors_invalid" or "layout_mismatch" what is no update of a job with this model
  // and spec, which has passed check_update_spec().
  [[nodiscard]] static Expected<UpdateFile> open(const std::filesystem::path& file,
                                                 const TensorLayout& model, const UpdateSpec& spec);
  UpdateFile(UpdateFile&&) noexcept;
  UpdateFile& operator=(UpdateFile&&) noexcept;
  ~UpdateFile();

  // Values of the model.
  [[nodiscard]] std::size_t size() const { return size_; }
  // The values [start, start + scratch.size()): where they lie, or in `scratch`.
  [[nodiscard]] const float* read(std::size_t start, std::span<float> scratch) const;

  // One encoding's way of reading; a class of each in update_file.cpp.
  class Decoder;

 private:
  UpdateFile(TensorFile file, std::size_t size, std::unique_ptr<const Decoder> decoder);

  TensorFile file_;
  std::size_t size_;
  std::unique_ptr<const Decoder> decoder_;
};

// The guards before any merge, as one pass over the decoded values; refuses like check_tensors, and
// what UpdateFile refuses.
[[nodiscard]] Expected<TensorCheck> check_update(const std::filesystem::path& file,
                                                 const TensorLayout& model, const UpdateSpec& spec,
                                                 double l2_norm_max);

}  // namespace entente
