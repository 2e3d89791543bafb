#include "site-agent/data/feature_column.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <numeric>

#include "common/base/limits.h"
#include "common/base/quote.h"
#include "site-agent/data/source.h"

namespace entente::agent {
namespace {

constexpr float kNothing = std::numeric_limits<float>::quiet_NaN();

ColumnSpec spec_of(const std::string& name, const TableSpec& table) {
  const auto described = table.columns.find(name);
  return described == table.columns.end() ? ColumnSpec{} : described->second;
}

bool contains(std::span<const std::string> list, std::string_view word) {
  return std::find(list.begin(), list.end(), word) != list.end();
}

double mean_of(std::span<const float> values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

// Of the whole population, as it is usual for standardising.
double deviation_of(std::span<const float> values, double mean) {
  double squares = 0;
  for (const float value : values) {
    squares += (value - mean) * (value - mean);
  }
  return std::sqrt(squares / static_cast<double>(values.size()));
}

// The mean of the two in the middle when their number is even.
double median_of(std::vector<float> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  if (values.size() % 2 == 1) {
    return *middle;
  }
  return (static_cast<double>(*middle) + *std::max_element(values.begin(), middle)) / 2;
}

}  // namespace

Cell present(Cell cell, std::span<const std::string> missing_words) {
  constexpr std::string_view kBlanks = " \t\r\n";
  if (!cell) {
    return cell;
  }
  const auto begin = cell->find_first_not_of(kBlanks);
  if (begin == std::string_view::npos) {
    return std::nullopt;
  }
  const auto text = cell->substr(begin, cell->find_last_not_of(kBlanks) + 1 - begin);
  return contains(missing_words, text) ? std::nullopt : Cell(text);
}

std::optional<double> parse_real(std::string_view text) {
  if (text.starts_with('+')) {
    text.remove_prefix(1);
  }
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() ||
      !std::isfinite(static_cast<float>(value))) {
    return std::nullopt;
  }
  return value;
}

std::optional<float> parse_number(std::string_view text) {
  const auto value = parse_real(text);
  return value ? std::optional(static_cast<float>(*value)) : std::nullopt;
}

FeatureColumn::FeatureColumn(std::string name, const TableSpec& table)
    : name_(std::move(name)),
      spec_(spec_of(name_, table)),
      missing_(spec_.missing.value_or(table.missing)),
      standardise_(!is_categorical() && !spec_.mean &&
                   (contains(table.standardise, "*") || contains(table.standardise, name_))) {
  for (std::uint32_t code = 0; code < spec_.categories.size(); ++code) {
    codes_.emplace(spec_.categories[code], code);
  }
}

std::optional<std::string> FeatureColumn::add(Cell cell, bool keep) {
  if (!cell && missing_ == Missing::refuse) {
    return "has no value";
  }
  auto fault = is_categorical() ? add_category(cell) : add_number(cell);
  if (!fault && keep) {
    values_.push_back(last_);
  }
  return fault;
}

std::optional<std::string> FeatureColumn::add_number(Cell cell) {
  last_ = kNothing;
  if (!cell) {
    return std::nullopt;
  }
  const auto number = parse_number(*cell);
  if (!number) {
    return "has text where a number belongs";
  }
  last_ = *number;
  return std::nullopt;
}

std::optional<std::string> FeatureColumn::add_category(Cell cell) {
  last_ = kNothing;
  if (!cell) {
    return std::nullopt;
  }
  if (const auto known = codes_.find(*cell); known != codes_.end()) {
    last_ = static_cast<float>(known->second);
  } else if (spec_.find_categories) {
    if (codes_.size() >= limits::kCategoriesMax) {
      return fmt::format("has more than {} categories", limits::kCategoriesMax);
    }
    last_ = static_cast<float>(codes_.size());
    codes_.emplace(*cell, static_cast<std::uint32_t>(codes_.size()));
  } else if (spec_.unknown == Unknown::refuse) {
    return "has a category that agent.toml does not list";
  }
  return std::nullopt;
}

void FeatureColumn::append_names(std::vector<std::string>& names) const {
  if (!is_categorical()) {
    names.push_back(name_);
  } else if (spec_.find_categories) {
    // What was found stays here: it is content.
    for (std::size_t i = 1; i <= codes_.size(); ++i) {
      names.push_back(fmt::format("{}={}", name_, i));
    }
  } else {
    for (const std::string& category : spec_.categories) {
      names.push_back(fmt::format("{}={}", name_, category));
    }
  }
}

std::vector<float> FeatureColumn::values_of(std::span<const std::uint32_t> rows) const {
  std::vector<float> values;
  for (const auto row : rows) {
    if (!std::isnan(values_[row])) {
      values.push_back(values_[row]);
    }
  }
  return values;
}

Expected<void> FeatureColumn::fit(std::span<const std::uint32_t> rows) {
  const bool is_filled_by_value = missing_ == Missing::mean || missing_ == Missing::median;
  filling_ = static_cast<float>(spec_.constant);
  mean_ = spec_.mean.value_or(0);
  deviation_ = spec_.deviation.value_or(1);
  if (is_categorical() || rows.empty() || !(is_filled_by_value || standardise_)) {
    return {};
  }
  const auto values = values_of(rows);
  if (values.empty()) {
    return invalid_dataset(
        fmt::format("column {} has no value in any of {} rows", quote(name_), rows.size()),
        "leave the column out of features");
  }
  const double mean = mean_of(values);
  if (is_filled_by_value) {
    filling_ = static_cast<float>(missing_ == Missing::mean ? mean : median_of(values));
  }
  if (standardise_) {
    const double deviation = deviation_of(values, mean);
    mean_ = mean;
    deviation_ = deviation > 0 ? deviation : 1;
  }
  return {};
}

void FeatureColumn::write(std::span<const std::uint32_t> rows, float* to,
                          std::size_t stride) const {
  // Categories that were found are numbered as they came; their inputs are in order of their names.
  std::vector<std::uint32_t> place(codes_.size());
  std::uint32_t next = 0;
  for (const auto& [category, code] : codes_) {
    place[code] = spec_.find_categories ? next++ : code;
  }
  for (const auto row : rows) {
    const float value = values_[row];
    if (!is_categorical()) {
      const float filled = std::isnan(value) ? filling_ : value;
      *to = static_cast<float>((filled - mean_) / deviation_);
    } else if (!std::isnan(value)) {
      to[place[static_cast<std::size_t>(value)]] = 1;
    }
    to += stride;
  }
}

}  // namespace entente::agent
