// Model files and updates in the safetensors format: an 8-byte little-endian header length, a JSON
// header (name -> dtype, shape, data_offsets; optional "__metadata__"), then the data.
// Format: https://github.com/huggingface/safetensors#format
//
// A reader accepts any order of tensors, 0-dim and unaligned ones; a writer emits the layout's
// order and pads the header to 8 bytes, so that equal content gives equal bytes. Files are hostile
// until checked: every length and offset is verified before use. Files are mapped, so nobody may
// shorten one while it is open; those of the blob store never change.
//
// An object is used by one thread at a time; several objects may read the same file.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "common/base/refusal.h"
#include "common/domain/tensor_layout.h"

namespace entente {

using TensorMetadata = std::map<std::string, std::string>;

inline constexpr std::array kFloat32Only{DType::f32};

// A memory-mapped safetensors file, of float32 unless the reader says otherwise. Tensors are
// reached in the layout's order. Data may be unaligned in the file, so it is copied out in blocks
// rather than exposed as spans of float.
class TensorFile {
 public:
  // Refuses with "tensors_invalid": not safetensors, truncated, overlapping or out-of-range data,
  // more than limits allow, a dtype that is none of `dtypes`; also a file that cannot be opened.
  [[nodiscard]] static Expected<TensorFile> open(const std::filesystem::path& file,
                                                 std::span<const DType> dtypes = kFloat32Only);
  TensorFile(TensorFile&&) noexcept;
  TensorFile& operator=(TensorFile&&) noexcept;
  ~TensorFile();

  // In the order of the data in the file.
  [[nodiscard]] const TensorLayout& layout() const;
  [[nodiscard]] const TensorMetadata& metadata() const;
  // The raw little-endian bytes of tensor `index`.
  [[nodiscard]] std::span<const std::byte> data(std::size_t index) const;

  // Refuses with "layout_mismatch", naming the first difference, unless names, shapes, dtypes and
  // order are those of `layout` and the data is aligned for all of them (as our own writer makes
  // it).
  [[nodiscard]] Expected<void> check_layout(const TensorLayout& layout) const;

  // All tensors as one flat vector, of a file that has this float32 layout. Refuses like
  // check_layout.
  [[nodiscard]] Expected<std::span<const float>> flat(const TensorLayout& layout) const;

 private:
  class Mapping;
  explicit TensorFile(std::unique_ptr<Mapping> mapping);
  std::unique_ptr<Mapping> mapping_;
};

// Writes a file tensor by tensor, front to back. Its space is reserved at the start, so that a full
// disk is noticed before the work; a file that is not closed is removed. The file is complete after
// `close` (no fsync: the blob store does that when it adopts the file). Throws std::system_error.
class TensorFileWriter {
 public:
  TensorFileWriter(const std::filesystem::path& file, const TensorLayout& layout,
                   const TensorMetadata& metadata);
  ~TensorFileWriter();
  // The next elements of the flat vector, any number at a time.
  void append(std::span<const float> values);
  // The same as they lie in the file, whatever their dtypes.
  void append(std::span<const std::byte> bytes);
  // The elements from `start` on of the flat vector, of a float32 layout. Several threads may do
  // this at once, each element once; not to be mixed with `append`.
  void write(std::size_t start, std::span<const float> values);
  // Every element must have been written. Returns the size of the file in bytes.
  std::uint64_t close();

 private:
  class Output;
  std::unique_ptr<Output> output_;
};

// The guards before any merge, as one pass over the file. Refuses with "tensors_invalid",
// "layout_mismatch", "not_finite" (naming the tensor) or "norm_too_large".
struct TensorCheck {
  double l2_norm = 0;
};
[[nodiscard]] Expected<TensorCheck> check_tensors(const std::filesystem::path& file,
                                                  const TensorLayout& layout, double l2_norm_max);

// Writes the tensors of `from`, which may come in any order and alignment (Python's safetensors
// library sorts by name), as the file that `flat` and `check_tensors` accept. Refuses with
// "layout_mismatch" when names and shapes are not exactly those of `layout`. Throws
// std::system_error when `to` cannot be written.
[[nodiscard]] Expected<void> rewrite_tensors(const TensorFile& from, const TensorLayout& layout,
                                             const TensorMetadata& metadata,
                                             const std::filesystem::path& to);

}  // namespace entente
