#include "broker/merge/strategies/bulyan.h"

#include <algorithm>
#include <numeric>

#include "broker/merge/strategies/krum.h"
#include "common/base/check.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "broker/merge/strategies/bulyan.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "broker/merge/strategies/sorted_columns-inl.h"

HWY_BEFORE_NAMESPACE();
namespace entente::broker::HWY_NAMESPACE {

// The `keep` values nearest to the median are neighbours of each other: a window of the sorted
// ones.
struct MeanAroundMedian {
  std::size_t keep;

  template <class Columns>
  HWY_INLINE void merge_any(const Columns& columns, std::size_t sites, double* merged) const {
    const DoubleTag wide;
    const auto median =
        divide(add(promote(columns.kth((sites - 1) / 2)), promote(columns.kth(sites / 2))), 2);
    // All ones where the window moves up past value k, because the one it gains is nearer than k
    // is.
    const auto past = [&](std::size_t k) HWY_ATTR {
      const auto lost = promote(columns.kth(k));
      const auto gained = promote(columns.kth(k + keep));
      const auto nearer = [&](auto gain, auto middle, auto loss) HWY_ATTR {
        return hn::VecFromMask(wide, hn::Lt(hn::Sub(gain, middle), hn::Sub(middle, loss)));
      };
      return WideVector{nearer(gained.lower, median.lower, lost.lower),
                        nearer(gained.upper, median.upper, lost.upper)};
    };
    WideVector sum{hn::Zero(wide), hn::Zero(wide)};
    for (std::size_t k = 0; k < sites; ++k) {
      WideVector value = promote(columns.kth(k));
      if (k + keep < sites) {
        const auto left_out = past(k);
        value = {hn::AndNot(left_out.lower, value.lower), hn::AndNot(left_out.upper, value.upper)};
      }
      if (k >= keep) {
        const auto taken_in = past(k - keep);
        value = {hn::And(taken_in.lower, value.lower), hn::And(taken_in.upper, value.upper)};
      }
      sum = add(sum, value);
    }
    store(divide(sum, static_cast<double>(keep)), merged);
  }

  // Which rows meet depends on `keep`, which is no constant: they are read from memory.
  template <std::size_t kRows>
  HWY_INLINE void merge(const InRegisters<kRows>& columns, double* merged) const {
    const FloatTag tag;
    HWY_ALIGN float sorted[kRows * hn::MaxLanes(tag)];
    const std::size_t lanes = hn::Lanes(tag);
    for (std::size_t k = 0; k < kRows; ++k) {
      hn::Store(columns.rows[k], tag, sorted + k * lanes);
    }
    merge_any(InMemory{sorted}, kRows, merged);
  }
};

void bulyan_block(const float* const* rows, std::size_t sites, std::size_t keep, double* merged,
                  std::size_t count) {
  merge_sorted(rows, sites, count, MeanAroundMedian{keep}, merged);
}

}  // namespace entente::broker::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace entente::broker {
namespace {

HWY_EXPORT(bulyan_block);

}  // namespace

std::vector<std::size_t> bulyan_picks(const PairDistances& distances, std::size_t byzantine) {
  ENTENTE_CHECK(distances.size() >= 4 * byzantine + 3);
  std::vector<std::size_t> left(distances.size());
  std::iota(left.begin(), left.end(), 0);
  std::vector<std::size_t> picks;
  while (picks.size() < distances.size() - 2 * byzantine) {
    const auto scores = krum_scores(distances, left, byzantine);
    const auto best = std::min_element(scores.begin(), scores.end()) - scores.begin();
    picks.push_back(left[static_cast<std::size_t>(best)]);
    left.erase(left.begin() + best);
  }
  std::sort(picks.begin(), picks.end());
  return picks;
}

void bulyan(Rows rows, std::size_t byzantine, std::span<double> merged) {
  ENTENTE_CHECK(rows.size() > 2 * byzantine);
  HWY_DYNAMIC_DISPATCH(bulyan_block)
  (rows.data(), rows.size(), rows.size() - 2 * byzantine, merged.data(), merged.size());
}

}  // namespace entente::broker
#endif  // HWY_ONCE
