#include "site-agent/data/dataset_statistics.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <set>

#include "common/base/check.h"
#include "common/base/limits.h"
#include "common/base/nearest.h"
#include "common/base/quote.h"
#include "site-agent/data/column_counter.h"
#include "site-agent/data/feature_column.h"
#include "site-agent/data/source.h"
#include "site-agent/data/source_kinds.h"
#include "site-agent/data/table_reader.h"
#include "site-agent/data/tokeniser.h"

namespace entente::agent {
namespace {

// Rows between two reports.
constexpr std::uint64_t kReportEvery = 1024;

constexpr const char* kLabel = "label";
constexpr const char* kTarget = "target";

using Counters = std::map<std::string, ColumnCounter>;

tl::unexpected<Refusal> violated(const DatasetConfig& config, std::string_view what,
                                 std::string hint) {
  return refuse("data_contract_violated", fmt::format("dataset {} {}", quote(config.name), what),
                std::move(hint), Scope::site);
}

const ColumnSpec* described(const TableSpec& table, const std::string& column) {
  const auto found = table.columns.find(column);
  return found == table.columns.end() ? nullptr : &found->second;
}

std::vector<CountedColumn> columns_of_table(const TableSpec& table) {
  std::vector<CountedColumn> columns;
  for (const auto& name : table.features) {
    const auto* spec = described(table, name);
    const bool is_category = spec != nullptr && spec->is_categorical();
    columns.push_back({name, is_category ? ColumnRole::category : ColumnRole::number});
  }
  if (!table.text.empty() && table.tokens.by != TokensBy::bytes) {
    columns.push_back({table.text, ColumnRole::text});
  }
  if (!table.label.empty()) {
    columns.push_back({table.label, ColumnRole::label});
  }
  for (const auto& name : table.targets) {
    columns.push_back({name, ColumnRole::target});
  }
  return columns;
}

std::vector<CountedColumn> columns_of_examples(const Schema& schema) {
  std::vector<CountedColumn> columns;
  if (schema.vocabulary == 0) {
    for (const auto& name : InputColumns(schema.shape).names) {
      columns.push_back({name, ColumnRole::number});
    }
  }
  if (schema.targets == 0) {
    columns.push_back({kLabel, ColumnRole::label});
  }
  for (std::uint32_t i = 1; i <= schema.targets; ++i) {
    columns.push_back({fmt::format("{} {}", kTarget, i), ColumnRole::target});
  }
  return columns;
}

// Those of them that the job asks for.
Expected<std::vector<CountedColumn>> choose(const DatasetConfig& config,
                                            const std::vector<CountedColumn>& all,
                                            const StatisticsSpec& spec) {
  std::vector<std::string> names;
  for (const auto& column : all) {
    names.push_back(column.name);
  }
  std::vector<CountedColumn> chosen;
  for (const auto& name : spec.columns) {
    const auto found = std::find(names.begin(), names.end(), name);
    if (found == names.end()) {
      return violated(
          config, fmt::format("has no column {}{}", quote(name), suggestion(name, names)),
          "correct statistics.columns; columns are what agent.toml makes inputs and answers of");
    }
    chosen.push_back(all[static_cast<std::size_t>(found - names.begin())]);
  }
  return spec.columns.empty() ? all : chosen;
}

Expected<void> check_columns(const DatasetConfig& config, const std::vector<CountedColumn>& columns,
                             std::uint32_t bins) {
  if (columns.empty()) {
    return violated(config, "has no column that can be counted", "choose another dataset");
  }
  if (columns.size() > limits::kStatisticsColumnsMax) {
    return violated(config,
                    fmt::format("has {} columns, at most {} can be counted", columns.size(),
                                limits::kStatisticsColumnsMax),
                    "name some of them in statistics.columns");
  }
  std::set<std::string_view> seen;
  for (const auto& column : columns) {
    if (!can_be_told(column.name)) {
      return violated(config,
                      fmt::format("has a column {}, whose name is too long or no plain text",
                                  quote(column.name)),
                      "give it a name of at most 100 bytes");
    }
    if (!seen.insert(column.name).second) {
      return violated(config, fmt::format("uses the column {} twice", quote(column.name)),
                      "name others in statistics.columns");
    }
  }
  if (columns.size() > columns_max(bins)) {
    return violated(
        config, fmt::format("has {} columns, too many for {} bins each", columns.size(), bins),
        fmt::format("ask for fewer bins, or for {} columns at most", columns_max(bins)));
  }
  return {};
}

// A dataset's rows for the counters of its columns.
class TableCount {
 public:
  TableCount(const DatasetConfig& config, const TableReader& table, Counters& counters)
      : config_(config) {
    const auto& names = table.columns();
    for (std::size_t cell = 0; cell < names.size(); ++cell) {
      if (const auto found = counters.find(names[cell]); found != counters.end()) {
        columns_.push_back({cell, described(config.table, names[cell]), &found->second});
      }
    }
  }

  void take(const std::vector<Cell>& row) {
    for (auto& column : columns_) {
      take(column, present(row[column.cell], config_.table.missing_words));
    }
  }

 private:
  struct Counted {
    std::size_t cell;
    const ColumnSpec* spec;
    ColumnCounter* counter;
  };

  // Every cell was checked when the table was opened. What does not parse now has come since.
  void take(const Counted& column, const Cell& cell) {
    auto& counter = *column.counter;
    if (!cell) {
      counter.add_missing();
      return;
    }
    switch (counter.role()) {
      case ColumnRole::number:
      case ColumnRole::target:
        if (const auto number = parse_real(*cell)) {
          counter.add_number(*number);
        } else {
          counter.add_missing();
        }
        return;
      case ColumnRole::category:
        take_category(*column.spec, *cell, counter);
        return;
      case ColumnRole::label:
        counter.add_category(config_.class_names.empty() ? label_text(*cell) : *cell);
        return;
      case ColumnRole::text:
        take_text(*cell, counter);
        return;
    }
  }

  static void take_category(const ColumnSpec& spec, std::string_view cell, ColumnCounter& counter) {
    const auto& known = spec.categories;
    const bool is_known =
        spec.find_categories || std::find(known.begin(), known.end(), cell) != known.end();
    counter.add_category(is_known ? cell : ColumnCounter::kNameless);
  }

  // "007" and "7" are the same class.
  static std::string_view label_text(std::string_view cell) {
    const auto digits = cell.find_first_not_of('0');
    return digits == std::string_view::npos ? "0" : cell.substr(digits);
  }

  void take_text(std::string_view text, ColumnCounter& counter) {
    words_.clear();
    each_piece(config_.table.tokens.by, text, [this](std::string_view piece) {
      words_.emplace(piece);
      return true;
    });
    counter.add_text();
    for (const auto& word : words_) {
      counter.add_word(word);
    }
  }

  const DatasetConfig& config_;
  std::vector<Counted> columns_;
  std::set<std::string> words_;  // of the text that is being read
};

Expected<void> count_rows(const DatasetConfig& config, const std::vector<std::uint32_t>& rows,
                          Counters& counters, const DatasetStatistics::Report& report) {
  const auto table = open_rows(config);
  if (!table) {
    return tl::unexpected(table.error());
  }
  TableCount count(config, **table, counters);
  std::vector<Cell> row;
  std::uint64_t counted = 0;
  for (std::uint64_t number = 0; counted < rows.size(); ++number) {
    const auto more = (*table)->next(row);
    if (!more) {
      return tl::unexpected(more.error());
    }
    if (!*more) {
      break;
    }
    if (rows[counted] != number) {
      continue;
    }
    count.take(row);
    if (++counted % kReportEvery == 0) {
      report(kReportEvery);
    }
  }
  return {};
}

void count_answers(const Dataset& dataset, const DatasetConfig& config, Counters& counters) {
  if (const auto label = counters.find(kLabel); dataset.targets == 0 && label != counters.end()) {
    for (const auto each : dataset.labels) {
      const auto place = static_cast<std::size_t>(each);
      label->second.add_category(place < config.class_names.size() ? config.class_names[place]
                                                                   : std::to_string(each));
    }
  }
  for (std::uint32_t target = 0; target < dataset.targets; ++target) {
    const auto counter = counters.find(fmt::format("{} {}", kTarget, target + 1));
    if (counter == counters.end()) {
      continue;
    }
    for (std::size_t at = target; at < dataset.values.size(); at += dataset.targets) {
      counter->second.add_number(dataset.values[at]);
    }
  }
}

void count_examples(const Dataset& dataset, const DatasetConfig& config, Counters& counters,
                    const DatasetStatistics::Report& report) {
  count_answers(dataset, config, counters);
  if (dataset.vocabulary != 0) {
    return;
  }
  const InputColumns inputs(dataset.shape);
  std::vector<ColumnCounter*> of_column;
  for (const auto& name : inputs.names) {
    const auto found = counters.find(name);
    of_column.push_back(found == counters.end() ? nullptr : &found->second);
  }
  const std::size_t width = inputs.names.size() * inputs.per_example;
  const float* value = dataset.features.data();
  for (std::uint64_t example = 0; example < dataset.size(); ++example) {
    for (std::size_t element = 0; element < width; ++element, ++value) {
      if (auto* counter = of_column[inputs.column_of(element)]) {
        counter->add_number(*value);
      }
    }
    if ((example + 1) % kReportEvery == 0) {
      report(kReportEvery);
    }
  }
}

}  // namespace

InputColumns::InputColumns(const Shape& shape) {
  std::size_t elements = 1;
  for (const auto dimension : shape) {
    elements *= static_cast<std::size_t>(dimension);
  }
  const bool is_image = shape.size() == 3;
  const bool are_positions = shape.size() == 1 || shape.size() == 2;
  const auto columns = static_cast<std::size_t>(is_image        ? shape.front()
                                                : are_positions ? shape.back()
                                                                : 1);
  if (columns > limits::kStatisticsColumnsMax || !(is_image || are_positions) || columns == 0) {
    names = {"inputs"};
    together = 1;
    per_example = elements;
    return;
  }
  for (std::size_t i = 1; i <= columns; ++i) {
    names.push_back(fmt::format("{} {}", is_image ? "channel" : "input", i));
  }
  per_example = elements / columns;
  together = is_image ? per_example : 1;
}

Expected<DatasetStatistics> DatasetStatistics::open(const DatasetConfig& config,
                                                    const StatisticsSpec& spec) {
  const bool is_of_rows = is_table(config.source);
  const auto source = open_source(config, is_of_rows ? Purpose::describe : Purpose::load);
  if (!source) {
    return tl::unexpected(source.error());
  }
  auto selection = select_examples(config, **source);
  if (!selection) {
    return tl::unexpected(selection.error());
  }
  if (selection->examples.empty()) {
    return violated(config, "has no examples at this site",
                    "check the dataset's files and partition in agent.toml");
  }
  const auto all =
      is_of_rows ? columns_of_table(config.table) : columns_of_examples((*source)->schema());
  auto columns = choose(config, all, spec);
  if (!columns) {
    return tl::unexpected(columns.error());
  }
  if (auto sound = check_columns(config, *columns, spec.bins); !sound) {
    return tl::unexpected(sound.error());
  }
  DatasetStatistics statistics;
  statistics.config_ = config;
  statistics.bins_ = spec.bins;
  statistics.columns_ = *std::move(columns);
  if (!is_of_rows) {
    auto dataset = (*source)->read(*selection);
    if (!dataset) {
      return tl::unexpected(dataset.error());
    }
    statistics.in_memory_ = *std::move(dataset);
  }
  statistics.rows_ = std::move(selection->examples);
  return statistics;
}

Expected<Statistics> DatasetStatistics::count(std::uint64_t cell_min,
                                              const std::optional<Ranges>& ranges,
                                              const Report& report) const {
  Counters counters;
  for (const auto& column : columns_) {
    // The threshold is one of examples: so many of them have so many pixels at the least.
    const bool is_of_pixels = in_memory_ && column.role == ColumnRole::number;
    const auto values_min =
        cell_min * (is_of_pixels ? InputColumns(in_memory_->shape).per_example : 1);
    if (!ranges) {
      counters.emplace(column.name, ColumnCounter(column.role, values_min));
    } else if (const auto range = ranges->find(column.name);
               range != ranges->end() && is_number(column.role)) {
      counters.emplace(column.name, ColumnCounter(column.role, values_min, range->second, bins_));
    }
  }
  if (in_memory_) {
    count_examples(*in_memory_, config_, counters, report);
  } else if (auto counted = count_rows(config_, rows_, counters, report); !counted) {
    return tl::unexpected(counted.error());
  }
  Statistics statistics;
  for (auto& [name, counter] : counters) {
    counter.finish(name, statistics);
  }
  fit_message(statistics, bins_);
  return statistics;
}

}  // namespace entente::agent
