#include "site-agent/data/column_counter.h"

namespace entente::agent {
namespace {

// Different words that are counted; of those that come up first after so many thousands hardly one
// is in enough texts to be told.
constexpr std::size_t kWordsMax = 1 << 18;

}  // namespace

ColumnCounter::ColumnCounter(ColumnRole role, std::uint64_t cell_min)
    : cell_min_(cell_min), outermost_(cell_min) {
  column_.role = role;
  column_.sites = 1;
}

ColumnCounter::ColumnCounter(ColumnRole role, std::uint64_t cell_min, const Range& range,
                             std::uint32_t bins)
    : ColumnCounter(role, cell_min) {
  range_ = range;
  histogram_.bins.resize(bins);
}

void ColumnCounter::add_number(double value) {
  if (range_) {
    ++histogram_.bins[bin_of(value, *range_, histogram_.bins.size())];
    return;
  }
  add_value(column_, value);
  outermost_.add(value);
}

void ColumnCounter::add_category(std::string_view category) {
  ++column_.count;
  add_cell(category);
}

void ColumnCounter::add_word(std::string_view word) { add_cell(word); }

void ColumnCounter::add_cell(std::string_view name) {
  if (const auto known = cells_.find(name); known != cells_.end()) {
    ++known->second;
  } else if (cells_.size() < kWordsMax) {
    cells_.emplace(name, 1);
  } else {
    ++column_.cells_withheld;
    column_.rows_withheld += column_.role == ColumnRole::text ? 0 : 1;
  }
}

void ColumnCounter::finish(const std::string& name, Statistics& statistics) {
  if (range_) {
    const auto rows = histogram_.told();
    if (rows > 0 && rows >= cell_min_) {
      withhold(histogram_, cell_min_);
      statistics.histograms.emplace(name, std::move(histogram_));
    }
    return;
  }
  if (is_number(column_.role)) {
    outermost_.finish(column_);
  } else {
    for (auto& [cell, rows] : cells_) {
      if (can_be_told(cell)) {
        column_.cells.emplace(cell, rows);
      } else {
        ++column_.cells_withheld;
        column_.rows_withheld += column_.role == ColumnRole::text ? 0 : rows;
      }
    }
    withhold_cells(column_, cell_min_);
  }
  statistics.columns.emplace(name, std::move(column_));
}

}  // namespace entente::agent
