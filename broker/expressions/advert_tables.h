// A site's advert as two SQL tables that are read in place: `site` has one row, `dataset` a row for
// each dataset (docs/expressions.md). Nothing is copied and nothing can be written.
//
// Also the two functions that read what has no column: label('key') is the site's label, NULL when
// it has none of that key; has(tags, 'ct') is whether a dataset's tags contain the word.
//
// SQLite's virtual tables, eponymous only (sqlite.org/vtab.html, 2.1.2).
#pragma once

#include <sqlite3.h>

#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/ids.h"
#include "common/domain/site.h"

namespace entente::broker {

// What the tables show. `labels_read` gathers the keys that label() was asked for.
struct ShownAdvert {
  const SiteId* site = nullptr;
  const SiteAdvert* advert = nullptr;
  std::set<std::string> labels_read;
};

// Adds both tables and functions to a connection; `shown` outlives it. Throws std::runtime_error
// when SQLite refuses.
void add_advert_tables(sqlite3* connection, ShownAdvert& shown);

// The columns by name, for messages.
[[nodiscard]] std::vector<std::string> site_columns();
[[nodiscard]] std::vector<std::string> dataset_columns();

// A column's value as SQL would write it: 'DE', 16, NULL. Needs a column of that table.
[[nodiscard]] std::string site_value(const SiteId& site, const SiteAdvert& advert,
                                     std::string_view column);
[[nodiscard]] std::string dataset_value(const DatasetAdvert& dataset, std::string_view column);

// `text` as SQL writes it, in single quotes.
[[nodiscard]] std::string sql_text(std::string_view text);

}  // namespace entente::broker
