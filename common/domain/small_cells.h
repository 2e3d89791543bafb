// What a site does not say because too few of its rows say it: the threshold is its policy's
// `statistics_cell_min`, here `cell_min`.
//
//  - Cells are the categories of a column, or the bins of a histogram. One of fewer rows than
//    `cell_min` is withheld. Since the rows of all cells together are known, those withheld could
//    be worked out from the others: so the next smallest cells are withheld too until they come to
//    `cell_min` rows together (secondary suppression; Hundepool et al., "Statistical Disclosure
//    Control", Wiley 2012, section 4.2).
//  - The smallest and largest value of a column are somebody's. The range that is told begins at
//    the value of rank `cell_min`, ends at that of the same rank from above, and is rounded outward
//    to a round step between a fifth and a twelfth of its width.
//    Of fewer values than twice that, the two in the middle are the ends.
//  - A word of texts is a cell of its own: withheld where too few texts have it or lack it.
//  - A number that nearly all rows share is a count in disguise: the mean of a 0/1 column says how
//    many rows are 1. Where the range comes to a single value and not all rows have it, the column
//    is withheld.
//
// Pure. Used by the trainer, which leaves out, and by the agent, which lets nothing else leave.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <queue>
#include <span>
#include <vector>

#include "common/base/refusal.h"
#include "common/domain/statistics.h"

namespace entente {

struct Withheld {
  std::uint64_t cells = 0;
  std::uint64_t rows = 0;
};

// Sets the cells that are not to be told to 0; others of the same column may be withheld already.
Withheld withhold_cells(std::span<std::uint64_t> cells, std::uint64_t cell_min,
                        Withheld withheld = {});

void withhold(Histogram& histogram, std::uint64_t cell_min);

// Of categories or words. A column of fewer values than `cell_min` is withheld as a whole.
void withhold_cells(Column& column, std::uint64_t cell_min);

// Remembers the `cell_min` smallest and largest of the values that pass by.
class RangeOfMany {
 public:
  explicit RangeOfMany(std::uint64_t cell_min);
  void add(double value);
  // Sets the column's range, or withholds the column. Called once.
  void finish(Column& column);

 private:
  template <class Order>
  using Heap = std::priority_queue<double, std::vector<double>, Order>;

  std::uint64_t rank_;
  Heap<std::less<>> smallest_;    // the largest of them on top
  Heap<std::greater<>> largest_;  // the smallest of them on top
  double least_ = 0;
  double greatest_ = 0;
  std::uint64_t count_ = 0;
};

// Outward, to the next multiples of a step of 1, 2 or 5 times a power of ten.
[[nodiscard]] Range rounded_outward(const Range& range);

// The refusal of a site's statistics that say more than its policy lets out.
[[nodiscard]] std::optional<Refusal> check_withheld(const Statistics& statistics,
                                                    std::uint64_t cell_min);

}  // namespace entente
