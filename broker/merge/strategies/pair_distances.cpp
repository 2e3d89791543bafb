#include "broker/merge/strategies/pair_distances.h"

#include <algorithm>

#include "common/base/check.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "broker/merge/strategies/pair_distances.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace entente::broker::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// Sum k of a pair has the values at k, k + 16, k + 32 and so on, however wide a register is.
constexpr std::size_t kSums = 16;

// Two tiles of promoted values and the sums of their pairs fit the first-level cache.
constexpr std::size_t kTileRows = 16;
constexpr std::size_t kTileValues = 4 * kSums;

using WideTag = hn::CappedTag<double, kSums>;
constexpr std::size_t kLanes = hn::MaxLanes(WideTag());
constexpr std::size_t kRegisters = kSums / kLanes;

// Arguments of __builtin_prefetch.
constexpr int kForReading = 0;
constexpr int kSecondLevel = 2;

// Some rows of a block.
struct RowGroup {
  std::size_t first;
  std::size_t count;
};

// The same few values of a group of rows, in double.
struct Tile {
  HWY_ALIGN double rows[kTileRows][kTileValues];

  // What the rows do not have is 0 in all of them, and adds nothing to a distance. The next tile is
  // on its way while the pairs of this one are worked on: half the time was waiting for it.
  void fill(const float* const* from, RowGroup group, std::size_t start, std::size_t count) {
    const WideTag wide;
    const hn::Rebind<float, WideTag> narrow;
    for (std::size_t row = 0; row < group.count; ++row) {
      const float* const values = from[group.first + row] + start;
      const std::size_t whole = count - count % kLanes;
      for (std::size_t i = 0; i < whole; i += kLanes) {
        __builtin_prefetch(values + i + kTileValues, kForReading, kSecondLevel);
        hn::Store(hn::PromoteTo(wide, hn::LoadU(narrow, values + i)), wide, rows[row] + i);
      }
      std::copy(values + whole, values + count, rows[row] + whole);
      std::fill(rows[row] + count, rows[row] + kTileValues, 0.0);
    }
  }
};

// Adds (x - y)^2 to the sums of the pair, over one tile.
HWY_INLINE void add_squares(const double* x, const double* y, double* pair) {
  const WideTag wide;
  hn::Vec<WideTag> sums[kRegisters];
  for (std::size_t r = 0; r < kRegisters; ++r) {
    sums[r] = hn::Load(wide, pair + r * kLanes);
  }
  for (std::size_t i = 0; i < kTileValues; i += kSums) {
    for (std::size_t r = 0; r < kRegisters; ++r) {
      const std::size_t at = i + r * kLanes;
      const auto difference = hn::Sub(hn::Load(wide, x + at), hn::Load(wide, y + at));
      sums[r] = hn::Add(sums[r], hn::Mul(difference, difference));
    }
  }
  for (std::size_t r = 0; r < kRegisters; ++r) {
    hn::Store(sums[r], wide, pair + r * kLanes);
  }
}

double fold(double* sums) {
  for (std::size_t half = kSums / 2; half > 0; half /= 2) {
    for (std::size_t k = 0; k < half; ++k) {
      sums[k] += sums[k + half];
    }
  }
  return sums[0];
}

// Where the distance of (i, j), i < j, stands among those of n rows.
std::size_t index_of_pair(std::size_t i, std::size_t j, std::size_t n) {
  return i * n - i * (i + 1) / 2 + (j - i - 1);
}

// The pairs of a row of `low` with a later one of `high`, which is `low` itself or comes after it.
void add_pairs_of_groups(const float* const* rows, std::size_t row_count, RowGroup low,
                         RowGroup high, std::size_t count, double* distances) {
  const bool same = low.first == high.first;
  Tile low_tile;
  Tile high_tile;
  HWY_ALIGN double sums[kTileRows][kTileRows][kSums] = {};
  for (std::size_t start = 0; start < count; start += kTileValues) {
    const std::size_t values = std::min(kTileValues, count - start);
    low_tile.fill(rows, low, start, values);
    if (!same) {
      high_tile.fill(rows, high, start, values);
    }
    const Tile& others = same ? low_tile : high_tile;
    for (std::size_t i = 0; i < low.count; ++i) {
      for (std::size_t j = same ? i + 1 : 0; j < high.count; ++j) {
        add_squares(low_tile.rows[i], others.rows[j], sums[i][j]);
      }
    }
  }
  for (std::size_t i = 0; i < low.count; ++i) {
    for (std::size_t j = same ? i + 1 : 0; j < high.count; ++j) {
      distances[index_of_pair(low.first + i, high.first + j, row_count)] += fold(sums[i][j]);
    }
  }
}

void add_pairs(const float* const* rows, std::size_t row_count, std::size_t count,
               double* distances) {
  const auto group = [row_count](std::size_t first) {
    return RowGroup{first, std::min(kTileRows, row_count - first)};
  };
  for (std::size_t low = 0; low < row_count; low += kTileRows) {
    for (std::size_t high = low; high < row_count; high += kTileRows) {
      add_pairs_of_groups(rows, row_count, group(low), group(high), count, distances);
    }
  }
}

}  // namespace entente::broker::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace entente::broker {
namespace {

HWY_EXPORT(add_pairs);

}  // namespace

PairDistances pair_distances(Updates updates, Sweep& sweep) {
  ENTENTE_CHECK(!updates.empty());
  const std::size_t n = updates.size();
  const auto pairs = sweep.sum(
      updates.front()->size(), n * (n - 1) / 2, [updates](Range range, std::span<double> sums) {
        for_each_block(updates, range, [&](Rows rows, std::size_t, std::size_t count) {
          HWY_DYNAMIC_DISPATCH(add_pairs)(rows.data(), rows.size(), count, sums.data());
        });
      });
  return PairDistances(n, pairs);
}

PairDistances::PairDistances(std::size_t updates, std::span<const double> pairs)
    : updates_(updates), squares_(updates * updates, 0.0) {
  auto next = pairs.begin();
  for (std::size_t i = 0; i < updates; ++i) {
    for (std::size_t j = i + 1; j < updates; ++j) {
      squares_[i * updates + j] = squares_[j * updates + i] = *next++;
    }
  }
}

}  // namespace entente::broker
#endif  // HWY_ONCE
