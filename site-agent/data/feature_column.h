// One column of a table on its way to the model's inputs: a number, or a category that becomes one
// input for each category there is (one of them 1, the others 0).
//
//  - Cells come in row by row, four bytes of memory each; what cannot be an input is refused then,
//    where the place is known.
//  - `fit` takes mean, deviation and median from the rows that are trained on, over the values that
//    are there. A missing number is filled in first, then standardised like the others. A column
//    that never varies is only centred.
//  - `write` puts the inputs of chosen rows in their place.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/refusal.h"
#include "site-agent/data/dataset_config.h"
#include "site-agent/data/table_reader.h"

namespace entente::agent {

class FeatureColumn {
 public:
  FeatureColumn(std::string name, const TableSpec& table);

  [[nodiscard]] const std::string& name() const { return name_; }

  // The next row's cell, of which nothing is kept when it is only to be checked. Returns what is
  // wrong with it, as the end of a sentence: "has text where a number belongs".
  [[nodiscard]] std::optional<std::string> add(Cell cell, bool keep);

  // Inputs of one row. Final when all rows are in.
  [[nodiscard]] std::size_t width() const { return is_categorical() ? codes_.size() : 1; }
  // What the inputs are called: "age", or "sex=f", "sex=m".
  void append_names(std::vector<std::string>& names) const;

  // Refuses with "dataset_invalid" when there is no value to take a mean or median from.
  [[nodiscard]] Expected<void> fit(std::span<const std::uint32_t> rows);
  // The inputs of rows[i] go to to[i * stride].
  void write(std::span<const std::uint32_t> rows, float* to, std::size_t stride) const;

 private:
  [[nodiscard]] bool is_categorical() const { return spec_.is_categorical(); }
  std::optional<std::string> add_number(Cell cell);
  std::optional<std::string> add_category(Cell cell);
  [[nodiscard]] std::vector<float> values_of(std::span<const std::uint32_t> rows) const;

  std::string name_;
  ColumnSpec spec_;
  Missing missing_;
  bool standardise_;

  // Numbers, or codes of categories; NaN where the value is missing, or all its inputs are 0.
  std::vector<float> values_;
  float last_ = 0;                                           // what `add` has made of a cell
  std::map<std::string, std::uint32_t, std::less<>> codes_;  // by category

  float filling_ = 0;
  double mean_ = 0;
  double deviation_ = 1;
};

// The cell without blanks around it; nothing where it is NULL, empty, or one of the words that mean
// that a value is missing.
[[nodiscard]] Cell present(Cell cell, std::span<const std::string> missing_words);

// A number that is finite as float32, and nothing behind it; with all of its digits.
[[nodiscard]] std::optional<double> parse_real(std::string_view text);
[[nodiscard]] std::optional<float> parse_number(std::string_view text);

}  // namespace entente::agent
