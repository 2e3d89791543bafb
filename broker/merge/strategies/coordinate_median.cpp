#include "broker/merge/strategies/coordinate_median.h"

#include <algorithm>
#include <vector>

#include "common/base/check.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "broker/merge/strategies/coordinate_median.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "broker/merge/strategies/sorted_columns-inl.h"

HWY_BEFORE_NAMESPACE();
namespace entente::broker::HWY_NAMESPACE {

struct Median {
  template <class Columns>
  HWY_INLINE void merge_any(const Columns& columns, std::size_t sites, double* merged) const {
    // The sum begins at +0, so that the sign of a zero does not depend on the order of the rows.
    const WideVector zero{hn::Zero(DoubleTag()), hn::Zero(DoubleTag())};
    const auto lower = add(zero, promote(columns.kth((sites - 1) / 2)));
    if (sites % 2 == 1) {
      store(lower, merged);
    } else {
      store(divide(add(lower, promote(columns.kth(sites / 2))), 2), merged);
    }
  }
  template <std::size_t kRows, class Columns>
  HWY_INLINE void merge(const Columns& columns, double* merged) const {
    merge_any(columns, kRows, merged);
  }
};

void median_block(const float* const* rows, std::size_t sites, double* merged, std::size_t count) {
  merge_sorted(rows, sites, count, Median{}, merged);
}

}  // namespace entente::broker::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace entente::broker {
namespace {

HWY_EXPORT(median_block);

}  // namespace

void coordinate_median(Rows rows, std::span<double> merged) {
  ENTENTE_CHECK(!rows.empty());
  HWY_DYNAMIC_DISPATCH(median_block)(rows.data(), rows.size(), merged.data(), merged.size());
}

}  // namespace entente::broker
#endif  // HWY_ONCE
