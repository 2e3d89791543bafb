// Sorts the columns of a block, a vector register of columns at a time, with Batcher's odd-even
// merge network (Knuth, The Art of Computer Programming 3, 5.3.4): compare and exchange without a
// branch. Up to kInRegisters rows the network is unrolled and the compiler leaves out what a rule
// does not look at; beyond, it runs in first-level cache.
//
// Included once per instruction set by the rules that need it (Highway's convention for -inl.h).

#if defined(ENTENTE_SORTED_COLUMNS_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef ENTENTE_SORTED_COLUMNS_INL_H
#undef ENTENTE_SORTED_COLUMNS_INL_H
#else
#define ENTENTE_SORTED_COLUMNS_INL_H
#endif

#include <hwy/aligned_allocator.h>
#include <hwy/highway.h>

#include <array>
#include <cstddef>
#include <utility>

#include "broker/merge/strategies/batcher_network.h"

HWY_BEFORE_NAMESPACE();
namespace entente::broker::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

using FloatTag = hn::ScalableTag<float>;
using FloatVector = hn::Vec<FloatTag>;

// As many doubles as a float register has lanes: two registers, where a register can be halved.
#if HWY_TARGET == HWY_SCALAR
using DoubleTag = hn::Rebind<double, FloatTag>;
#else
using HalfTag = hn::Half<FloatTag>;
using DoubleTag = hn::Rebind<double, HalfTag>;
#endif
using DoubleVector = hn::Vec<DoubleTag>;

struct WideVector {
  DoubleVector lower, upper;
};

HWY_INLINE WideVector promote(FloatVector values) {
#if HWY_TARGET == HWY_SCALAR
  return {hn::PromoteTo(DoubleTag(), values), hn::Zero(DoubleTag())};
#else
  return {hn::PromoteTo(DoubleTag(), hn::LowerHalf(HalfTag(), values)),
          hn::PromoteTo(DoubleTag(), hn::UpperHalf(HalfTag(), values))};
#endif
}

HWY_INLINE WideVector add(WideVector a, WideVector b) {
  return {hn::Add(a.lower, b.lower), hn::Add(a.upper, b.upper)};
}

HWY_INLINE WideVector divide(WideVector a, double by) {
  const auto divisor = hn::Set(DoubleTag(), by);
  return {hn::Div(a.lower, divisor), hn::Div(a.upper, divisor)};
}

HWY_INLINE void store(WideVector values, double* to) {
  hn::StoreU(values.lower, DoubleTag(), to);
#if HWY_TARGET != HWY_SCALAR
  hn::StoreU(values.upper, DoubleTag(), to + hn::Lanes(DoubleTag()));
#endif
}

// Sorted columns in registers. `kth` is called with constants only, so nothing is ever indexed.
template <std::size_t kRows>
struct InRegisters {
  FloatVector rows[kRows];
  HWY_INLINE FloatVector kth(std::size_t k) const { return rows[k]; }
};

template <std::size_t kRows, std::size_t... kStep>
HWY_INLINE void sort_registers(InRegisters<kRows>& columns, std::index_sequence<kStep...>) {
  constexpr auto kNetwork = batcher_network<kRows>();
  const auto exchange = [&columns](Comparator c) HWY_ATTR {
    const auto a = columns.rows[c.low];
    const auto b = columns.rows[c.high];
    columns.rows[c.low] = hn::Min(a, b);
    columns.rows[c.high] = hn::Max(a, b);
  };
  (exchange(kNetwork[kStep]), ...);
}

// Sorted columns in memory.
struct InMemory {
  const float* rows;
  HWY_INLINE FloatVector kth(std::size_t k) const {
    return hn::Load(FloatTag(), rows + k * hn::Lanes(FloatTag()));
  }
};

// Calls `rule.template merge<kRows>(columns, sites, to)` for each register of columns.
template <std::size_t kRows, class Rule>
void merge_in_registers(const float* const* rows, std::size_t count, const Rule& rule,
                        double* merged) {
  const FloatTag tag;
  for (std::size_t i = 0; i < count; i += hn::Lanes(tag)) {
    InRegisters<kRows> columns;
    for (std::size_t row = 0; row < kRows; ++row) {
      columns.rows[row] = hn::LoadU(tag, rows[row] + i);
    }
    sort_registers(columns, std::make_index_sequence<batcher_network<kRows>().size()>());
    rule.template merge<kRows>(columns, merged + i);
  }
}

template <class Rule>
void merge_in_memory(const float* const* rows, std::size_t sites, std::size_t count,
                     const Rule& rule, double* merged) {
  const FloatTag tag;
  const std::size_t lanes = hn::Lanes(tag);
  const auto memory = hwy::AllocateAligned<float>(sites * lanes);
  float* const columns = memory.get();
  for (std::size_t i = 0; i < count; i += lanes) {
    for (std::size_t row = 0; row < sites; ++row) {
      hn::Store(hn::LoadU(tag, rows[row] + i), tag, columns + row * lanes);
    }
    for_each_comparator(sites, [&](Comparator c) HWY_ATTR {
      const auto a = hn::Load(tag, columns + c.low * lanes);
      const auto b = hn::Load(tag, columns + c.high * lanes);
      hn::Store(hn::Min(a, b), tag, columns + c.low * lanes);
      hn::Store(hn::Max(a, b), tag, columns + c.high * lanes);
    });
    rule.merge_any(InMemory{columns}, sites, merged + i);
  }
}

template <class Rule, std::size_t... kIndex>
bool merge_unrolled(const float* const* rows, std::size_t sites, std::size_t count,
                    const Rule& rule, double* merged, std::index_sequence<kIndex...>) {
  return (
      (sites == kIndex + 2 && (merge_in_registers<kIndex + 2>(rows, count, rule, merged), true)) ||
      ...);
}

// `count` is a multiple of the register's lanes.
template <class Rule>
void merge_columns(const float* const* rows, std::size_t sites, std::size_t count, const Rule& rule,
                   double* merged) {
  constexpr std::make_index_sequence<kInRegisters - 1> kFromTwo;
  if (!merge_unrolled(rows, sites, count, rule, merged, kFromTwo)) {
    merge_in_memory(rows, sites, count, rule, merged);
  }
}

// Merges whole registers where they lie, and what is left over from a padded copy.
template <class Rule>
void merge_sorted(const float* const* rows, std::size_t sites, std::size_t count, const Rule& rule,
                  double* merged) {
  const std::size_t lanes = hn::Lanes(FloatTag());
  const std::size_t whole = count - count % lanes;
  merge_columns(rows, sites, whole, rule, merged);
  if (whole == count) {
    return;
  }
  std::vector<float> padded(sites * lanes, 0.0F);
  std::vector<const float*> padded_rows(sites);
  for (std::size_t row = 0; row < sites; ++row) {
    padded_rows[row] = padded.data() + row * lanes;
    std::copy(rows[row] + whole, rows[row] + count, padded.data() + row * lanes);
  }
  std::vector<double> rest(lanes);
  merge_columns(padded_rows.data(), sites, lanes, rule, rest.data());
  std::copy_n(rest.begin(), count - whole, merged + whole);
}

}  // namespace entente::broker::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
