// Passes over whole updates. A strategy says what is to be done with a range of them, the caller of
// the strategy decides how many threads do it: the ranges, and the order in which their sums are
// added up, depend on the size alone, so the number of threads never changes a bit.
#pragma once

#include <algorithm>
#include <cstddef>
#include <functional>
#include <span>
#include <vector>

#include "broker/merge/strategies/update_values.h"

namespace entente::broker {

struct Range {
  std::size_t start = 0;
  std::size_t count = 0;
};

// 512 KiB of each update: long enough to be read ahead, short enough to be shared out evenly.
constexpr std::size_t kRangeValues = 64 * kBlockValues;

class Sweep {
 public:
  virtual ~Sweep() = default;
  // Calls `work` once for each range of [0, size), several at a time. What it throws is thrown
  // here.
  virtual void each(std::size_t size, const std::function<void(Range)>& work) = 0;
  // Adds up what `work` puts into its `terms` sums, which are 0 at the start of each range.
  [[nodiscard]] virtual std::vector<double> sum(
      std::size_t size, std::size_t terms,
      const std::function<void(Range, std::span<double>)>& work) = 0;
};

// Calls `work` with the rows of each block of a range, their place and their length.
template <class Work>
void for_each_block(Updates updates, Range range, Work work) {
  RowReader reader(updates);
  const std::size_t end = range.start + range.count;
  for (std::size_t start = range.start; start < end; start += kBlockValues) {
    const std::size_t count = std::min(kBlockValues, end - start);
    work(reader.read(start, count), start, count);
  }
}

}  // namespace entente::broker
