// Statistics as Sums, and back: the form in which they travel and are kept (statistics.h).
#include <fmt/format.h>

#include <array>
#include <cmath>
#include <limits>

#include "common/base/limits.h"
#include "common/base/quote.h"
#include "common/domain/statistics.h"

namespace entente {
namespace {

constexpr std::string_view kCell = "cell";
constexpr std::string_view kBins = "bins";
constexpr std::size_t kNumberValues = 9;
constexpr std::size_t kCellValues = 7;
constexpr std::size_t kBinsBefore = 2;

// What a table can hold: its numbers are read as float32.
constexpr double kValueMax = std::numeric_limits<float>::max();
// Up to here doubles count exactly.
constexpr double kCountMax = 9007199254740992.0;

std::string escaped(std::string_view name) {
  std::string text;
  for (const char c : name) {
    if (c == '%' || c == '/') {
      text += c == '%' ? "%25" : "%2F";
    } else {
      text += c;
    }
  }
  return text;
}

// Nothing for what `escaped` never makes.
std::optional<std::string> unescaped(std::string_view text) {
  std::string name;
  while (!text.empty()) {
    if (text.starts_with("%25") || text.starts_with("%2F")) {
      name += text[2] == '5' ? '%' : '/';
      text.remove_prefix(3);
    } else if (text.front() == '%') {
      return std::nullopt;
    } else {
      name += text.front();
      text.remove_prefix(1);
    }
  }
  return can_be_told(name) ? std::optional(std::move(name)) : std::nullopt;
}

// "cell", "ward", "surgery".
struct Key {
  std::string_view what;
  std::string column;
  std::optional<std::string> category;
};

std::optional<Key> parse_key(std::string_view text) {
  const auto first = text.find('/');
  if (first == std::string_view::npos) {
    return std::nullopt;
  }
  Key key{text.substr(0, first), {}, {}};
  const auto rest = text.substr(first + 1);
  const auto second = rest.find('/');
  auto column = unescaped(rest.substr(0, second));
  if (!column) {
    return std::nullopt;
  }
  key.column = std::move(*column);
  if (second != std::string_view::npos) {
    key.category = unescaped(rest.substr(second + 1));
  }
  const bool is_well_formed = key.category.has_value() == (second != std::string_view::npos) &&
                              key.category.has_value() == (key.what == kCell);
  return is_well_formed ? std::optional(std::move(key)) : std::nullopt;
}

std::optional<ColumnRole> role_of(std::string_view word) {
  for (const auto role : {ColumnRole::number, ColumnRole::target, ColumnRole::category,
                          ColumnRole::label, ColumnRole::text}) {
    if (to_string(role) == word) {
      return role;
    }
  }
  return std::nullopt;
}

// Written so that a NaN is none.
bool is_count(double value) {
  return value >= 0 && value <= kCountMax && value == std::floor(value);
}

bool is_value(double value) { return std::abs(value) <= kValueMax; }

// Of one site, whose rows are each in one cell or, of texts, in several.
bool is_whole(const Column& column) {
  std::uint64_t rows = column.rows_withheld;
  for (const auto& [cell, count] : column.cells) {
    if (count > column.count) {
      return false;
    }
    rows += count;
  }
  if (column.role == ColumnRole::text) {
    return column.rows_withheld == 0;
  }
  return rows == column.count && (column.cells_withheld == 0) == (column.rows_withheld == 0);
}

bool is_whole(const Histogram& histogram) {
  std::uint64_t rows = histogram.rows_withheld;
  for (const auto count : histogram.bins) {
    if (count > limits::kExamplesMax) {
      return false;
    }
    rows += count;
  }
  return rows <= limits::kExamplesMax &&
         (histogram.cells_withheld == 0) == (histogram.rows_withheld == 0);
}

// Takes counts from the front of a list of numbers, and remembers whether all of them were any.
class Counts {
 public:
  explicit Counts(const std::vector<double>& values) : values_(values) {}
  std::uint64_t next() {
    const double value = values_[at_++];
    are_sound_ = are_sound_ && is_count(value);
    return are_sound_ ? static_cast<std::uint64_t>(value) : 0;
  }
  [[nodiscard]] bool are_sound() const { return are_sound_; }

 private:
  const std::vector<double>& values_;
  std::size_t at_ = 0;
  bool are_sound_ = true;
};

bool read_column(const std::vector<double>& values, Column& column) {
  if (values.size() != (is_number(column.role) ? kNumberValues : kCellValues)) {
    return false;
  }
  Counts counts(values);
  column.sites = counts.next();
  column.withheld = counts.next();
  column.unlike = counts.next();
  column.count = counts.next();
  column.missing = counts.next();
  if (is_number(column.role)) {
    column.mean = values[5];
    column.squares = values[6];
    column.low = values[7];
    column.high = values[8];
    // No value is further than the whole range of numbers from the mean.
    const double squares_max = static_cast<double>(column.count) * 4 * kValueMax * kValueMax;
    return counts.are_sound() && is_value(column.mean) && is_value(column.low) &&
           is_value(column.high) && column.low <= column.high && column.squares >= 0 &&
           column.squares <= squares_max;
  }
  column.cells_withheld = counts.next();
  column.rows_withheld = counts.next();
  return counts.are_sound();
}

bool read_histogram(const std::vector<double>& values, Histogram& histogram) {
  if (values.size() <= kBinsBefore || values.size() > kBinsBefore + limits::kStatisticsBinsMax) {
    return false;
  }
  Counts counts(values);
  histogram.cells_withheld = counts.next();
  histogram.rows_withheld = counts.next();
  for (std::size_t bin = kBinsBefore; bin < values.size(); ++bin) {
    histogram.bins.push_back(counts.next());
  }
  return counts.are_sound();
}

tl::unexpected<Refusal> invalid(std::string_view name, std::string_view why) {
  return refuse("statistics_invalid", fmt::format("its statistics have {} {}", quote(name), why),
                "docs/trainer-contract.md says what they are made of", Scope::task);
}

double number(std::uint64_t count) { return static_cast<double>(count); }

}  // namespace

Sums to_sums(const Statistics& statistics) {
  Sums sums;
  for (const auto& [name, column] : statistics.columns) {
    auto& values = sums[fmt::format("{}/{}", to_string(column.role), escaped(name))];
    values = {number(column.sites), number(column.withheld), number(column.unlike),
              number(column.count), number(column.missing)};
    if (is_number(column.role)) {
      values.insert(values.end(), {column.mean, column.squares, column.low, column.high});
      continue;
    }
    values.insert(values.end(), {number(column.cells_withheld), number(column.rows_withheld)});
    for (const auto& [category, rows] : column.cells) {
      sums[fmt::format("{}/{}/{}", kCell, escaped(name), escaped(category))] = {number(rows)};
    }
  }
  for (const auto& [name, histogram] : statistics.histograms) {
    auto& values = sums[fmt::format("{}/{}", kBins, escaped(name))];
    values = {number(histogram.cells_withheld), number(histogram.rows_withheld)};
    values.insert(values.end(), histogram.bins.begin(), histogram.bins.end());
  }
  return sums;
}

Expected<Statistics> statistics_from(const Sums& sums) {
  Statistics statistics;
  std::vector<std::pair<Key, double>> cells;
  for (const auto& [name, values] : sums) {
    auto key = parse_key(name);
    if (!key) {
      return invalid(name, "in them, which names no column");
    }
    if (key->what == kCell) {
      if (values.size() != 1 || !is_count(values.front())) {
        return invalid(name, "without a number of rows");
      }
      cells.emplace_back(std::move(*key), values.front());
    } else if (key->what == kBins) {
      if (!read_histogram(values, statistics.histograms[key->column])) {
        return invalid(name, "with numbers that no histogram has");
      }
    } else if (const auto role = role_of(key->what)) {
      const auto [place, is_first] = statistics.columns.emplace(key->column, Column{*role});
      if (!is_first || !read_column(values, place->second)) {
        return invalid(name, is_first ? "with numbers that no column has" : "twice");
      }
    } else {
      return invalid(name, "in them, which is not known");
    }
  }
  for (auto& [key, rows] : cells) {
    const auto column = statistics.columns.find(key.column);
    if (column == statistics.columns.end() || is_number(column->second.role)) {
      return invalid(*key.category, "as a category of no column");
    }
    column->second.cells.emplace(std::move(*key.category), static_cast<std::uint64_t>(rows));
  }
  return statistics;
}

Expected<Statistics> site_statistics_from(const Sums& sums, std::size_t bins) {
  auto statistics = statistics_from(sums);
  if (!statistics) {
    return statistics;
  }
  for (const auto& [name, column] : statistics->columns) {
    if (column.sites + column.withheld != 1 || column.unlike != 0 ||
        column.count + column.missing > limits::kExamplesMax) {
      return invalid(name, "of more sites or rows than one site has");
    }
    // No value is further from the middle of all numbers than they reach; so sums of what sites say
    // stay within what a table can have.
    const double squares_max = static_cast<double>(column.count) * kValueMax * kValueMax;
    const bool is_sound =
        is_number(column.role) ? column.squares <= squares_max * (1 + 1e-9) : is_whole(column);
    if (!is_sound || column.rows_withheld > limits::kExamplesMax ||
        column.cells_withheld > limits::kExamplesMax) {
      return invalid(name, "with rows that do not come to its own");
    }
    Column nothing{column.role};
    nothing.withheld = 1;
    if (column.withheld == 1 && column != nothing) {
      return invalid(name, "withheld and told at once");
    }
  }
  for (const auto& [name, histogram] : statistics->histograms) {
    if (histogram.bins.size() != bins) {
      return invalid(
          name, fmt::format("with {} bins, and was asked for {}", histogram.bins.size(), bins));
    }
    if (!is_whole(histogram)) {
      return invalid(name, "with bins that hold more than one site has");
    }
  }
  return statistics;
}

Sums to_sums(const Ranges& ranges) {
  Sums sums;
  for (const auto& [name, range] : ranges) {
    sums.emplace(name, std::vector{range.low, range.high});
  }
  return sums;
}

Expected<Ranges> ranges_from(const Sums& sums) {
  Ranges ranges;
  for (const auto& [name, values] : sums) {
    if (values.size() != 2 || !is_value(values[0]) || !is_value(values[1]) ||
        !(values[0] < values[1]) || !can_be_told(name)) {
      return invalid(name, "with no range to count in");
    }
    ranges.emplace(name, Range{values[0], values[1]});
  }
  return ranges;
}

}  // namespace entente
