// Reads the rows of a query from a PostgreSQL server, through its client library.
//
//  - The transaction is read only, and the query one statement: nothing is changed.
//  - Rows come one by one (single-row mode), so that one of them is in memory, whatever the result.
//  - The connection string may hold a password, and the server's words about a row its content:
//    refusals have neither. They give the server's words on the query itself (SQLSTATE classes 42,
//    3D, 3F: names and syntax), otherwise the five characters of the SQLSTATE.
#pragma once

#include "site-agent/data/table_reader.h"

namespace entente::agent {

// Refuses with "dataset_missing" (no connection) or "dataset_invalid".
[[nodiscard]] Expected<std::unique_ptr<TableReader>> open_postgres(const DatasetConfig& config);

}  // namespace entente::agent
