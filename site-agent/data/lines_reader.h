// Reads one text file for each class as a table of two columns, the text of a line and its class.
// Empty lines are skipped.
#pragma once

#include "site-agent/data/table_reader.h"

namespace entente::agent {

[[nodiscard]] Expected<std::unique_ptr<TableReader>> open_lines(const DatasetConfig& config);

}  // namespace entente::agent
