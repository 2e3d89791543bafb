// Reads a table of comma-separated values by RFC 4180, plain or gzip; another delimiter makes it
// tab-separated values.
//
//  - A cell in quotes may hold delimiters, line ends and doubled quotes. A quote within a cell that
//    does not begin with one, or text behind a closing quote, is an error: guessing would shift
//    columns.
//  - Lines end with LF or CRLF; empty ones are skipped. A byte order mark of UTF-8 is skipped.
//  - Every row has as many cells as the header. NUL bytes are refused (UTF-16, or no text at all).
//  - A row has at most limits::kTableRowBytesMax bytes, so memory stays bounded whatever the file.
#pragma once

#include "site-agent/data/table_reader.h"

namespace entente::agent {

// Refuses with "dataset_missing" or, for a header that cannot be read, "dataset_invalid".
[[nodiscard]] Expected<std::unique_ptr<TableReader>> open_csv(const DatasetConfig& config);

}  // namespace entente::agent
