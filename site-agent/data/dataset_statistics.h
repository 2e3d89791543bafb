// Counts a dataset for a job of kind "statistics": what common/domain/statistics.h describes, for
// one site, and without what common/domain/small_cells.h withholds.
//
//  - A table is read row by row, once when it is opened and once for each round, whatever its size;
//    12 bytes a row stay in memory to choose the rows of a partition or a holdout. Images, arrays
//    and IDX files are read whole, as they are for training.
//  - Its columns are those that models would be given: features, text, label and targets. Numbers
//    are counted as they are stored, before a missing one is filled in or any is standardised;
//    pixels and numbers of arrays as models get them.
//  - Of a table without names: the channels of images ("channel 1"), the positions of vectors
//    ("input 1"), "inputs" for everything else, and "label" or "target 1".
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "common/base/refusal.h"
#include "common/domain/statistics.h"
#include "common/domain/statistics_spec.h"
#include "site-agent/data/dataset.h"
#include "site-agent/data/dataset_config.h"

namespace entente::agent {

// A column that can be counted.
struct CountedColumn {
  std::string name;
  ColumnRole role = ColumnRole::number;
};

// How the numbers of an example of that shape are columns: element i belongs to `column_of(i)`.
struct InputColumns {
  explicit InputColumns(const Shape& shape);

  [[nodiscard]] std::size_t column_of(std::size_t element) const {
    return element / together % names.size();
  }

  std::vector<std::string> names;
  std::size_t together = 1;     // neighbouring elements of one column
  std::size_t per_example = 1;  // elements of each column in an example
};

class DatasetStatistics {
 public:
  // So many more rows have been counted.
  using Report = std::function<void(std::uint64_t rows)>;

  // The data contract: refuses with "data_contract_violated" a column that the dataset does not
  // have, naming the nearest, or more of them than can be counted; like load_dataset what cannot be
  // read.
  [[nodiscard]] static Expected<DatasetStatistics> open(const DatasetConfig& config,
                                                        const StatisticsSpec& spec);

  [[nodiscard]] std::uint64_t examples() const { return rows_.size(); }

  // Without ranges the first round, with them the second.
  [[nodiscard]] Expected<Statistics> count(std::uint64_t cell_min,
                                           const std::optional<Ranges>& ranges,
                                           const Report& report) const;

 private:
  DatasetConfig config_;
  std::uint32_t bins_ = 0;
  std::vector<CountedColumn> columns_;
  std::vector<std::uint32_t> rows_;   // ascending
  std::optional<Dataset> in_memory_;  // of what is no table
};

}  // namespace entente::agent
