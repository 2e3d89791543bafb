// Examples from the rows of a table, whatever it is stored in. docs/datasets.md describes what the
// keys of agent.toml do with its columns.
//
// The table is read once, when it is opened. To describe it, every cell is checked and only labels
// are kept, 8 bytes a row. To load it, each feature and each token take 4 bytes a row, and the
// examples as much again while they are put together.
#pragma once

#include "site-agent/data/source.h"
#include "site-agent/data/table_reader.h"

namespace entente::agent {

// Refuses with "dataset_invalid", naming place and column: a column that is missing or there twice,
// a cell that cannot be what it should.
[[nodiscard]] Expected<std::unique_ptr<Source>> open_table(const DatasetConfig& config,
                                                           std::unique_ptr<TableReader> rows,
                                                           Purpose purpose);

}  // namespace entente::agent
