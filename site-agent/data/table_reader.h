// A table that is read once, from front to back: named columns, and rows of text. Never more than
// one row of it is in memory, whatever the size of the table.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/refusal.h"
#include "site-agent/data/dataset_config.h"

namespace entente::agent {

// Nothing: NULL. Valid until the next row is read.
using Cell = std::optional<std::string_view>;

class TableReader {
 public:
  virtual ~TableReader() = default;

  [[nodiscard]] virtual const std::vector<std::string>& columns() const = 0;
  // Fills `row` with a cell for each column. False at the end of the table. Refuses with
  // "dataset_invalid", naming the place.
  [[nodiscard]] virtual Expected<bool> next(std::vector<Cell>& row) = 0;
  // Where the row that was read last stands, for people: "patients.csv:17".
  [[nodiscard]] virtual std::string place() const = 0;
};

// Opens the rows of a dataset whose source is a table, at their beginning.
[[nodiscard]] Expected<std::unique_ptr<TableReader>> open_rows(const DatasetConfig& config);

}  // namespace entente::agent
