// Counts one column of a dataset in one round of statistics, value by value.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "common/domain/small_cells.h"
#include "common/domain/statistics.h"

namespace entente::agent {

class ColumnCounter {
 public:
  // The first round.
  ColumnCounter(ColumnRole role, std::uint64_t cell_min);
  // The second, of numbers.
  ColumnCounter(ColumnRole role, std::uint64_t cell_min, const Range& range, std::uint32_t bins);

  [[nodiscard]] ColumnRole role() const { return column_.role; }

  // A category that is not to be told by its name, however many rows it has.
  static constexpr std::string_view kNameless{};

  void add_missing() { ++column_.missing; }
  void add_number(double value);
  // A category, or of a text its words, each once.
  void add_category(std::string_view category);
  void add_text() { ++column_.count; }
  void add_word(std::string_view word);

  // What may be told of it. Called once, at the end.
  void finish(const std::string& name, Statistics& statistics);

 private:
  void add_cell(std::string_view name);

  std::uint64_t cell_min_;
  Column column_;
  std::map<std::string, std::uint64_t, std::less<>> cells_;
  RangeOfMany outermost_;
  std::optional<Range> range_;  // in the second round
  Histogram histogram_;
};

}  // namespace entente::agent
