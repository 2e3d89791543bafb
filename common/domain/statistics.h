// What the tables of several sites look like together, without a row of any of them: the result of
// a job of kind "statistics".
//
//  - Two rounds. In the first each site counts the values and the categories of its columns and
//    says mean, spread and range of its numbers. From the ranges of all of them follow edges, the
//    same for every site; in the second round each counts its numbers between them.
//  - What sites say adds up as if their rows had lain in one table: counts by addition, means and
//    squares by Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for computing
//    sample variances" (Stanford STAN-CS-79-773, 1979, equation 2.1), which keeps the digits that
//    a difference of two large sums would lose.
//  - A site leaves out what too few of its rows say (small_cells.h), and says how much that is.
//  - A quantile comes from the histogram, with bounds that hold whatever was left out.
//
// They travel, and are kept, as Sums; a "/" or "%" in a name is written %2F or %25:
//
//   number/COLUMN         sites, withheld, unlike, count, missing, mean, squares, low, high
//   target/COLUMN         the same, of numbers that models predict
//   category/COLUMN       sites, withheld, unlike, count, missing, cells_withheld, rows_withheld
//   label/COLUMN          the same, of classes that models predict
//   text/COLUMN           the same, of texts, whose cells are words
//   cell/COLUMN/CATEGORY  rows
//   bins/COLUMN           cells_withheld, rows_withheld, then the rows of each bin
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/refusal.h"
#include "common/domain/task.h"

namespace entente {

enum class ColumnRole : std::uint8_t {
  number,    // an input of models
  target,    // a number that models predict
  category,  // an input of models, one for each category
  label,     // a class that models predict
  text,      // its words, each counted once in a text
};

[[nodiscard]] std::string_view to_string(ColumnRole role);
[[nodiscard]] bool is_number(ColumnRole role);

struct Column {
  ColumnRole role = ColumnRole::number;
  std::uint64_t sites = 0;     // whose rows are counted here
  std::uint64_t withheld = 0;  // sites with too few values to say anything
  std::uint64_t unlike = 0;    // sites that have it in another role, and are not counted
  std::uint64_t count = 0;     // values
  std::uint64_t missing = 0;   // rows of the same sites without one

  // Of numbers. The range leaves out the outermost values of each site (small_cells.h).
  double mean = 0;
  double squares = 0;  // sum of squared deviations from the mean
  double low = 0;
  double high = 0;

  // Of everything else: rows of each category, or texts with each word.
  std::map<std::string, std::uint64_t> cells{};
  std::uint64_t cells_withheld = 0;
  std::uint64_t rows_withheld = 0;  // in those cells; not said of words, which overlap

  // Of the whole population, as it is usual for standardising.
  [[nodiscard]] double deviation() const;
  bool operator==(const Column&) const = default;
};

// Values between equally wide edges over the range of their column; what lies outside is in the
// first or last bin.
struct Histogram {
  std::vector<std::uint64_t> bins{};  // 0 also for a bin that is withheld
  std::uint64_t cells_withheld = 0;
  std::uint64_t rows_withheld = 0;

  [[nodiscard]] std::uint64_t told() const;
  bool operator==(const Histogram&) const = default;
};

struct Statistics {
  std::map<std::string, Column> columns{};
  std::map<std::string, Histogram> histograms{};  // of numbers
  bool operator==(const Statistics&) const = default;
};

struct Range {
  double low = 0;
  double high = 0;
  bool operator==(const Range&) const = default;
};

// Of the columns that the second round counts: numbers that are not all the same.
using Ranges = std::map<std::string, Range>;

[[nodiscard]] Ranges ranges_of(const Statistics& statistics);
[[nodiscard]] Sums to_sums(const Ranges& ranges);
// Refuses with "statistics_invalid".
[[nodiscard]] Expected<Ranges> ranges_from(const Sums& sums);

// The bin of a value, of `bins` equally wide ones.
[[nodiscard]] std::size_t bin_of(double value, const Range& range, std::size_t bins);

// Takes another value into `column`: Welford's method (Technometrics 4, 1962).
void add_value(Column& column, double value);

// Adds `more`, other rows of the same columns, to `total`, which may be empty. A column that has
// another role there is counted as unlike: `total` may have columns of a role and nothing else, to
// say which counts. Histograms have the same number of bins.
void add(Statistics& total, const Statistics& more);

// Columns of numbers that statistics with so many bins may have: with their bins, and beside as
// many cells as there may be, they fit into a message.
[[nodiscard]] std::size_t columns_max(std::size_t bins);

// Drops columns until there are columns_max, those that the fewest sites have told first; then the
// rarest cells, into those withheld, until the rest fits into a message.
void fit_message(Statistics& statistics, std::size_t bins);

// Where so large a share of the values is at most this. The true one, of the values kept within
// the range, is not outside `at_least` and `at_most`.
struct Quantile {
  double value = 0;
  double at_least = 0;
  double at_most = 0;
};

// Nothing when nothing is known of the column's distribution. `share` is from 0 to 1.
[[nodiscard]] std::optional<Quantile> quantile(const Statistics& statistics,
                                               const std::string& column, double share);

[[nodiscard]] Sums to_sums(const Statistics& statistics);

// Reads what a peer or a row says. Refuses with "statistics_invalid" what no table could have.
[[nodiscard]] Expected<Statistics> statistics_from(const Sums& sums);

// Likewise of one site: it counts as one, and every histogram has `bins` bins.
[[nodiscard]] Expected<Statistics> site_statistics_from(const Sums& sums, std::size_t bins);

// Whether a name of a column or category is one that can be told: 1 to 100 bytes of UTF-8, as
// written in Sums, without control characters.
[[nodiscard]] bool can_be_told(std::string_view name);

}  // namespace entente
