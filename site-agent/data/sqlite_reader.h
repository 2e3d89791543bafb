// Reads the rows of a query from a SQLite file. The file is opened for reading only, and the query
// must be one statement that changes nothing. Numbers come as SQLite prints them, with 15 digits.
#pragma once

#include "site-agent/data/table_reader.h"

namespace entente::agent {

// Refuses with "dataset_missing" or, with SQLite's words about the query, "dataset_invalid".
[[nodiscard]] Expected<std::unique_ptr<TableReader>> open_sqlite(const DatasetConfig& config);

}  // namespace entente::agent
