#include "broker/merge/strategies/trimmed_mean.h"

#include <algorithm>
#include <vector>

#include "common/base/check.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "broker/merge/strategies/trimmed_mean.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "broker/merge/strategies/sorted_columns-inl.h"

HWY_BEFORE_NAMESPACE();
namespace entente::broker::HWY_NAMESPACE {

struct TrimmedMean {
  std::size_t trim;

  template <class Columns>
  HWY_INLINE void merge_any(const Columns& columns, std::size_t sites, double* merged) const {
    WideVector sum{hn::Zero(DoubleTag()), hn::Zero(DoubleTag())};
    for (std::size_t k = trim; k < sites - trim; ++k) {
      sum = add(sum, promote(columns.kth(k)));
    }
    store(divide(sum, static_cast<double>(sites - 2 * trim)), merged);
  }
  // Written so that each k is a constant: an index that is none would drive the rows out of their
  // registers.
  template <std::size_t kRows, class Columns>
  HWY_INLINE void merge(const Columns& columns, double* merged) const {
    merge_constants<kRows>(columns, merged, std::make_index_sequence<kRows>());
  }

 private:
  template <std::size_t kRows, class Columns, std::size_t... kIndex>
  HWY_INLINE void merge_constants(const Columns& columns, double* merged,
                                  std::index_sequence<kIndex...>) const {
    WideVector sum{hn::Zero(DoubleTag()), hn::Zero(DoubleTag())};
    const auto take = [&](std::size_t k) HWY_ATTR {
      if (k >= trim && k < kRows - trim) {
        sum = add(sum, promote(columns.kth(k)));
      }
    };
    (take(kIndex), ...);
    store(divide(sum, static_cast<double>(kRows - 2 * trim)), merged);
  }
};

void trimmed_block(const float* const* rows, std::size_t sites, std::size_t trim, double* merged,
                   std::size_t count) {
  merge_sorted(rows, sites, count, TrimmedMean{trim}, merged);
}

}  // namespace entente::broker::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace entente::broker {
namespace {

HWY_EXPORT(trimmed_block);

}  // namespace

void trimmed_mean(Rows rows, std::size_t trim, std::span<double> merged) {
  ENTENTE_CHECK(2 * trim < rows.size());
  HWY_DYNAMIC_DISPATCH(trimmed_block)
  (rows.data(), rows.size(), trim, merged.data(), merged.size());
}

}  // namespace entente::broker
#endif  // HWY_ONCE
