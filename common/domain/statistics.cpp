#include "common/domain/statistics.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <numeric>

#include "common/base/check.h"
#include "common/base/limits.h"
#include "common/base/prose.h"
#include "common/domain/enum_names.h"

namespace entente {
namespace {

constexpr std::array kRoleNames{
    EnumName{ColumnRole::number, "number"},     EnumName{ColumnRole::target, "target"},
    EnumName{ColumnRole::category, "category"}, EnumName{ColumnRole::label, "label"},
    EnumName{ColumnRole::text, "text"},
};
static_assert(in_order(kRoleNames));

void add_numbers(Column& total, const Column& more) {
  const auto a = static_cast<double>(total.count);
  const auto b = static_cast<double>(more.count);
  const double difference = more.mean - total.mean;
  if (more.count == 0) {
    return;
  }
  if (total.count == 0) {
    total.mean = more.mean;
    total.squares = more.squares;
    total.low = more.low;
    total.high = more.high;
    return;
  }
  constexpr double kValueMax = std::numeric_limits<float>::max();
  total.mean = std::clamp(total.mean + difference * (b / (a + b)), -kValueMax, kValueMax);
  total.squares += more.squares + difference * difference * (a * (b / (a + b)));
  total.low = std::min(total.low, more.low);
  total.high = std::max(total.high, more.high);
}

void add(Column& total, const Column& more) {
  if (total.role != more.role) {
    total.unlike += more.sites + more.unlike;
    total.withheld += more.withheld;
    return;
  }
  add_numbers(total, more);
  total.sites += more.sites;
  total.withheld += more.withheld;
  total.unlike += more.unlike;
  total.count += more.count;
  total.missing += more.missing;
  for (const auto& [category, rows] : more.cells) {
    total.cells[category] += rows;
  }
  total.cells_withheld += more.cells_withheld;
  total.rows_withheld += more.rows_withheld;
}

void add(Histogram& total, const Histogram& more) {
  if (total.bins.empty()) {
    total = more;
    return;
  }
  ENTENTE_CHECK(total.bins.size() == more.bins.size());
  std::transform(total.bins.begin(), total.bins.end(), more.bins.begin(), total.bins.begin(),
                 std::plus<>());
  total.cells_withheld += more.cells_withheld;
  total.rows_withheld += more.rows_withheld;
}

// The bin that holds the row of that rank, from 1; the last one when there are fewer rows.
std::size_t bin_of_rank(const Histogram& histogram, std::uint64_t rank) {
  std::uint64_t below = 0;
  for (std::size_t bin = 0; bin < histogram.bins.size(); ++bin) {
    below += histogram.bins[bin];
    if (below >= rank) {
      return bin;
    }
  }
  return histogram.bins.size() - 1;
}

// Evenly spread within its bin.
double interpolate(const Histogram& histogram, double share, const Range& range, double width) {
  const double rank = share * static_cast<double>(histogram.told());
  double below = 0;
  for (std::size_t bin = 0; bin < histogram.bins.size(); ++bin) {
    const auto rows = static_cast<double>(histogram.bins[bin]);
    if (rows > 0 && below + rows >= rank) {
      return range.low + (static_cast<double>(bin) + (rank - below) / rows) * width;
    }
    below += rows;
  }
  return range.high;
}

// Of equally rare ones the last by name.
void drop_rarest_columns(Statistics& statistics, std::size_t columns_max) {
  std::vector<std::map<std::string, Column>::iterator> columns;
  for (auto column = statistics.columns.begin(); column != statistics.columns.end(); ++column) {
    columns.push_back(column);
  }
  std::stable_sort(columns.begin(), columns.end(),
                   [](const auto& a, const auto& b) { return a->second.sites > b->second.sites; });
  for (auto i = columns_max; i < columns.size(); ++i) {
    statistics.columns.erase(columns[i]);
  }
}

}  // namespace

std::string_view to_string(ColumnRole role) { return name_of(kRoleNames, role); }

bool is_number(ColumnRole role) { return role == ColumnRole::number || role == ColumnRole::target; }

double Column::deviation() const {
  return count == 0 ? 0 : std::sqrt(squares / static_cast<double>(count));
}

std::uint64_t Histogram::told() const {
  return std::accumulate(bins.begin(), bins.end(), std::uint64_t{0});
}

Ranges ranges_of(const Statistics& statistics) {
  Ranges ranges;
  for (const auto& [name, column] : statistics.columns) {
    if (is_number(column.role) && column.low < column.high) {
      ranges.emplace(name, Range{column.low, column.high});
    }
  }
  return ranges;
}

std::size_t bin_of(double value, const Range& range, std::size_t bins) {
  const double place = (value - range.low) / (range.high - range.low) * static_cast<double>(bins);
  return static_cast<std::size_t>(std::clamp(place, 0.0, static_cast<double>(bins - 1)));
}

void add_value(Column& column, double value) {
  ++column.count;
  const double before = value - column.mean;
  column.mean += before / static_cast<double>(column.count);
  column.squares += before * (value - column.mean);
}

void add(Statistics& total, const Statistics& more) {
  for (const auto& [name, column] : more.columns) {
    const auto [place, is_first] = total.columns.emplace(name, column);
    if (!is_first) {
      add(place->second, column);
    }
  }
  for (const auto& [name, histogram] : more.histograms) {
    add(total.histograms[name], histogram);
  }
}

std::size_t columns_max(std::size_t bins) {
  constexpr std::size_t kBesideBins = 11;  // of a number, and of what its bins withhold
  constexpr std::size_t kValues = limits::kSumValuesPerResultMax - limits::kStatisticsCellsMax;
  return std::min(limits::kStatisticsColumnsMax, kValues / (bins + kBesideBins));
}

void fit_message(Statistics& statistics, std::size_t bins) {
  drop_rarest_columns(statistics, columns_max(bins));
  struct Cell {
    Column* column;
    std::map<std::string, std::uint64_t>::iterator cell;
    std::size_t bytes;
  };
  std::vector<Cell> cells;
  std::size_t bytes = 0;
  for (auto& [name, column] : statistics.columns) {
    for (auto cell = column.cells.begin(); cell != column.cells.end(); ++cell) {
      cells.push_back({&column, cell, name.size() + cell->first.size()});
      bytes += cells.back().bytes;
    }
  }
  // The rarest last; of equally rare ones the order of names decides.
  std::stable_sort(cells.begin(), cells.end(),
                   [](const Cell& a, const Cell& b) { return a.cell->second > b.cell->second; });
  while (cells.size() > limits::kStatisticsCellsMax || bytes > limits::kStatisticsCellBytesMax) {
    const Cell rarest = cells.back();
    cells.pop_back();
    bytes -= rarest.bytes;
    rarest.column->cells_withheld += 1;
    rarest.column->rows_withheld +=
        rarest.column->role == ColumnRole::text ? 0 : rarest.cell->second;
    rarest.column->cells.erase(rarest.cell);
  }
}

std::optional<Quantile> quantile(const Statistics& statistics, const std::string& name,
                                 double share) {
  const auto column = statistics.columns.find(name);
  if (column == statistics.columns.end() || !is_number(column->second.role) ||
      column->second.count == 0) {
    return std::nullopt;
  }
  const Range range{column->second.low, column->second.high};
  if (range.low == range.high) {
    return Quantile{range.low, range.low, range.low};
  }
  const auto found = statistics.histograms.find(name);
  if (found == statistics.histograms.end() || found->second.told() == 0) {
    return std::nullopt;
  }
  const Histogram& histogram = found->second;
  const auto rows = histogram.told() + histogram.rows_withheld;
  const auto rank = std::max<std::uint64_t>(
      1, static_cast<std::uint64_t>(std::ceil(share * static_cast<double>(rows))));
  const double width = (range.high - range.low) / static_cast<double>(histogram.bins.size());
  // Either all that is withheld lies below, or all of it above.
  Quantile bounds{0, range.low, range.high};
  if (rank > histogram.rows_withheld) {
    const auto bin = bin_of_rank(histogram, rank - histogram.rows_withheld);
    bounds.at_least = range.low + static_cast<double>(bin) * width;
  }
  if (rank <= histogram.told()) {
    const auto bin = bin_of_rank(histogram, rank);
    bounds.at_most = bin + 1 == histogram.bins.size()
                         ? range.high
                         : range.low + static_cast<double>(bin + 1) * width;
  }
  bounds.value =
      std::clamp(interpolate(histogram, share, range, width), bounds.at_least, bounds.at_most);
  return bounds;
}

bool can_be_told(std::string_view name) {
  constexpr std::size_t kBytesMax = 100;
  const auto escapes =
      std::count_if(name.begin(), name.end(), [](char c) { return c == '/' || c == '%'; });
  return !name.empty() && name.size() + 2 * static_cast<std::size_t>(escapes) <= kBytesMax &&
         is_plain_text(name);
}

}  // namespace entente
