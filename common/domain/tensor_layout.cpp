#include "common/domain/tensor_layout.h"

#include <limits>

namespace entente {
namespace {

// Shapes also come from files that nobody has checked yet. A count that does not fit saturates, and
// so exceeds every limit instead of wrapping around to a harmless number.
constexpr std::uint64_t kTooMany = std::numeric_limits<std::uint64_t>::max();

std::uint64_t sum_over(const std::vector<TensorInfo>& tensors,
                       std::uint64_t (TensorInfo::*size)() const) {
  std::uint64_t sum = 0;
  for (const auto& tensor : tensors) {
    if (__builtin_add_overflow(sum, (tensor.*size)(), &sum)) {
      return kTooMany;
    }
  }
  return sum;
}

}  // namespace

std::uint64_t TensorInfo::elements() const {
  std::uint64_t count = 1;
  bool empty = false;
  bool overflow = false;
  for (const auto dimension : shape) {
    empty |= dimension == 0;
    overflow |= dimension < 0 ||
                __builtin_mul_overflow(count, static_cast<std::uint64_t>(dimension), &count);
  }
  // One after the other, since [2^40, 2^40, 0] would overflow on the way to nothing.
  return empty ? 0 : overflow ? kTooMany : count;
}

std::uint64_t TensorInfo::bytes() const {
  std::uint64_t count = 0;
  return __builtin_mul_overflow(elements(), bytes_of(dtype), &count) ? kTooMany : count;
}

std::uint64_t TensorLayout::elements() const { return sum_over(tensors, &TensorInfo::elements); }

std::uint64_t TensorLayout::bytes() const { return sum_over(tensors, &TensorInfo::bytes); }

}  // namespace entente
