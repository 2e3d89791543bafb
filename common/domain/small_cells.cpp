#include "common/domain/small_cells.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "common/base/check.h"
#include "common/base/quote.h"

namespace entente {
namespace {

void withhold_whole(Column& column) {
  column = Column{column.role};
  column.withheld = 1;
}

bool is_small(std::uint64_t rows, std::uint64_t cell_min) { return rows > 0 && rows < cell_min; }

// Of a word: too few texts have it, or too few have it not.
bool is_rare(std::uint64_t texts, std::uint64_t all, std::uint64_t cell_min) {
  return texts < cell_min || is_small(all - std::min(texts, all), cell_min);
}

// The largest of 1, 2 and 5 times a power of ten that is at most `size`.
double round_step(double size) {
  const double power = std::pow(10.0, std::floor(std::log10(size)));
  const double digit = size / power;
  return (digit >= 5 ? 5 : digit >= 2 ? 2 : 1) * power;
}

// Empties a heap; its values come from the top down.
template <class Heap>
std::vector<double> emptied(Heap& heap) {
  std::vector<double> values;
  for (; !heap.empty(); heap.pop()) {
    values.push_back(heap.top());
  }
  return values;
}

}  // namespace

Withheld withhold_cells(std::span<std::uint64_t> cells, std::uint64_t cell_min, Withheld withheld) {
  std::vector<std::uint64_t*> by_size;
  for (auto& rows : cells) {
    if (rows > 0) {
      by_size.push_back(&rows);
    }
  }
  std::stable_sort(by_size.begin(), by_size.end(), [](auto* a, auto* b) { return *a < *b; });
  for (auto* rows : by_size) {
    if (*rows >= cell_min && !is_small(withheld.rows, cell_min)) {
      break;
    }
    withheld.cells += 1;
    withheld.rows += *rows;
    *rows = 0;
  }
  return withheld;
}

void withhold(Histogram& histogram, std::uint64_t cell_min) {
  const auto withheld = withhold_cells(histogram.bins, cell_min);
  histogram.cells_withheld = withheld.cells;
  histogram.rows_withheld = withheld.rows;
}

void withhold_cells(Column& column, std::uint64_t cell_min) {
  if (column.count < cell_min || column.count == 0) {
    withhold_whole(column);
    return;
  }
  if (column.role == ColumnRole::text) {
    // A text has many words: they are no parts of one whole.
    column.cells_withheld += std::erase_if(column.cells, [&](const auto& cell) {
      return is_rare(cell.second, column.count, cell_min);
    });
    return;
  }
  std::vector<std::uint64_t> cells;
  for (const auto& [category, rows] : column.cells) {
    cells.push_back(rows);
  }
  const auto withheld =
      withhold_cells(cells, cell_min, {column.cells_withheld, column.rows_withheld});
  column.cells_withheld = withheld.cells;
  column.rows_withheld = withheld.rows;
  auto told = cells.begin();
  std::erase_if(column.cells, [&](const auto&) { return *told++ == 0; });
}

RangeOfMany::RangeOfMany(std::uint64_t cell_min) : rank_(std::max<std::uint64_t>(cell_min, 1)) {}

void RangeOfMany::add(double value) {
  least_ = count_ == 0 ? value : std::min(least_, value);
  greatest_ = count_ == 0 ? value : std::max(greatest_, value);
  ++count_;
  smallest_.push(value);
  largest_.push(value);
  if (smallest_.size() > rank_) {
    smallest_.pop();
    largest_.pop();
  }
}

void RangeOfMany::finish(Column& column) {
  ENTENTE_CHECK(column.count == count_);
  if (count_ < rank_) {
    withhold_whole(column);
    return;
  }
  if (least_ == greatest_) {
    column.low = least_;
    column.high = least_;
    return;
  }
  const auto smallest = emptied(smallest_);  // in falling order
  const auto largest = emptied(largest_);    // in rising order
  // With fewer values than twice the rank those in the middle: the ends do not cross.
  const auto inside = std::min(rank_ - 1, count_ / 2 - 1);
  const double low = smallest[rank_ - 1 - inside];
  const double high = largest[rank_ - 1 - inside];
  if (!(low < high)) {
    withhold_whole(column);
    return;
  }
  const auto range = rounded_outward({low, high});
  column.low = range.low;
  column.high = range.high;
}

Range rounded_outward(const Range& range) {
  // Whole steps of a round size would be lost in the digits of numbers that hardly differ.
  const double width = range.high - range.low;
  const double digits = std::max(std::abs(range.low), std::abs(range.high)) * 1e-12;
  const double step = round_step(std::max(width, digits) / 5);
  constexpr double kValueMax = std::numeric_limits<float>::max();
  return {std::max(std::floor(range.low / step) * step + 0.0, -kValueMax),
          std::min(std::ceil(range.high / step) * step + 0.0, kValueMax)};
}

std::optional<Refusal> check_withheld(const Statistics& statistics, std::uint64_t cell_min) {
  const auto too_few = [&](const std::string& name) {
    return Refusal{"statistics_too_fine",
                   fmt::format("the trainer tells of {} what fewer than {} rows say, the policy's "
                               "statistics_cell_min",
                               quote(name), cell_min),
                   "correct the trainer: docs/trainer-contract.md says what it leaves out",
                   Scope::site};
  };
  for (const auto& [name, column] : statistics.columns) {
    const bool tells_little =
        (column.withheld == 0 && column.count < std::max<std::uint64_t>(cell_min, 1)) ||
        (column.low == column.high && column.squares > 0) ||
        is_small(column.rows_withheld, cell_min) ||
        std::any_of(column.cells.begin(), column.cells.end(), [&](const auto& cell) {
          return column.role == ColumnRole::text ? is_rare(cell.second, column.count, cell_min)
                                                 : cell.second < cell_min;
        });
    if (tells_little) {
      return too_few(name);
    }
  }
  for (const auto& [name, histogram] : statistics.histograms) {
    const bool tells_little = is_small(histogram.rows_withheld, cell_min) ||
                              std::any_of(histogram.bins.begin(), histogram.bins.end(),
                                          [&](auto rows) { return is_small(rows, cell_min); });
    if (tells_little) {
      return too_few(name);
    }
  }
  return std::nullopt;
}

}  // namespace entente
