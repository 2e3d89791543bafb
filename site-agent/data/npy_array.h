// One array of NumPy, read example by example along its first dimension. Format: "NPY format"
// (numpy.lib.format), versions 1 to 3.
//
//  - Elements are float32, float64, whole numbers of 1 to 8 bytes, or bool, in little-endian order
//    and C order. Fortran order, big-endian numbers, records and Python objects are refused.
//  - The header is checked against the number of bytes that follow before anything is allocated.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "common/base/refusal.h"
#include "common/domain/model_spec.h"
#include "site-agent/data/byte_stream.h"

namespace entente::agent {

class NpyArray {
 public:
  // Refuses with "dataset_invalid".
  [[nodiscard]] static Expected<NpyArray> open(std::unique_ptr<ByteStream> bytes);

  [[nodiscard]] std::string name() const { return bytes_->name(); }
  // The first dimension.
  [[nodiscard]] std::size_t count() const { return count_; }
  // The other dimensions; none for an array of single numbers.
  [[nodiscard]] const Shape& example_shape() const { return example_shape_; }
  [[nodiscard]] std::size_t example_elements() const { return example_elements_; }
  [[nodiscard]] bool is_whole() const;

  // Calls `take` with the stored bytes of each example, in order. At most once.
  using Take = std::function<Expected<void>(std::size_t number, std::span<const std::byte> stored)>;
  [[nodiscard]] Expected<void> each_example(const Take& take);

  // What an example's bytes mean. A number that is not finite as float32 gives false.
  [[nodiscard]] bool to_numbers(std::span<const std::byte> stored, float* to) const;
  // Of whole numbers only; those beyond 2^63 give false.
  [[nodiscard]] bool to_whole(std::span<const std::byte> stored, std::int64_t* to) const;

 private:
  explicit NpyArray(std::unique_ptr<ByteStream> bytes) : bytes_(std::move(bytes)) {}
  Expected<void> read_header();
  Expected<void> check_size(std::uint64_t header_bytes);
  [[nodiscard]] tl::unexpected<Refusal> invalid(std::string_view cause,
                                                std::string hint = {}) const;

  std::unique_ptr<ByteStream> bytes_;
  std::string type_;  // "f4", "i8", ...
  std::size_t element_bytes_ = 0;
  std::size_t count_ = 0;
  Shape example_shape_;
  std::size_t example_elements_ = 1;
};

}  // namespace entente::agent
