#include "broker/expressions/advert_tables.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <memory>
#include <stdexcept>
#include <variant>

#include "common/base/check.h"
#include "common/domain/layers.h"

namespace entente::broker {
namespace {

using Value = std::variant<std::monostate, std::int64_t, std::string>;

// Bounds of the protocol keep every number far below 2^63.
Value number(std::uint64_t value) { return static_cast<std::int64_t>(value); }
Value text_or_null(const std::string& text) { return text.empty() ? Value() : Value(text); }

struct SiteColumn {
  std::string_view name;
  Value (*value)(const SiteId&, const SiteAdvert&);
};

constexpr std::array kSiteColumns{
    SiteColumn{"site", [](const SiteId& site, const SiteAdvert&) { return Value(site.str()); }},
    SiteColumn{"jurisdiction",
               [](const SiteId&, const SiteAdvert& it) { return text_or_null(it.jurisdiction); }},
    SiteColumn{"slots", [](const SiteId&, const SiteAdvert& it) { return number(it.slots); }},
    SiteColumn{"threads_per_slot",
               [](const SiteId&, const SiteAdvert& it) { return number(it.threads_per_slot); }},
    SiteColumn{"cores",
               [](const SiteId&, const SiteAdvert& it) { return number(it.resources.cores); }},
    SiteColumn{
        "memory_bytes",
        [](const SiteId&, const SiteAdvert& it) { return number(it.resources.memory_bytes); }},
    SiteColumn{"gpus",
               [](const SiteId&, const SiteAdvert& it) { return number(it.resources.gpus); }},
    SiteColumn{"version",
               [](const SiteId&, const SiteAdvert& it) { return text_or_null(it.version); }},
};

// Each one word for has(), also a name with blanks in it.
std::string as_words(std::vector<std::string> names) {
  for (std::string& name : names) {
    std::replace(name.begin(), name.end(), ' ', '_');
  }
  return fmt::format("{}", fmt::join(names, " "));
}

struct DatasetColumn {
  std::string_view name;
  Value (*value)(const DatasetAdvert&);
};

constexpr std::array kDatasetColumns{
    DatasetColumn{"name", [](const DatasetAdvert& it) { return Value(it.name); }},
    DatasetColumn{"kind", [](const DatasetAdvert& it) { return Value(it.kind); }},
    DatasetColumn{"examples", [](const DatasetAdvert& it) { return number(it.examples); }},
    DatasetColumn{"shape",
                  [](const DatasetAdvert& it) { return Value(to_string(it.example_shape)); }},
    DatasetColumn{"classes", [](const DatasetAdvert& it) { return number(it.classes); }},
    DatasetColumn{"targets", [](const DatasetAdvert& it) { return number(it.targets); }},
    DatasetColumn{"vocabulary", [](const DatasetAdvert& it) { return number(it.vocabulary); }},
    DatasetColumn{"features", [](const DatasetAdvert& it) { return Value(as_words(it.features)); }},
    DatasetColumn{
        "tags",
        [](const DatasetAdvert& it) { return Value(fmt::format("{}", fmt::join(it.tags, " "))); }},
};

void answer(sqlite3_context* context, const Value& value) {
  if (const auto* integer = std::get_if<std::int64_t>(&value)) {
    sqlite3_result_int64(context, *integer);
  } else if (const auto* text = std::get_if<std::string>(&value)) {
    sqlite3_result_text(context, text->data(), static_cast<int>(text->size()), SQLITE_TRANSIENT);
  } else {
    sqlite3_result_null(context);
  }
}

std::string_view text_of(sqlite3_value* value) {
  const auto* text = reinterpret_cast<const char*>(sqlite3_value_text(value));
  return text == nullptr
             ? std::string_view()
             : std::string_view(text, static_cast<std::size_t>(sqlite3_value_bytes(value)));
}

// --- the module: SQLite's C interface, the table's kind as a type ---

struct Table : sqlite3_vtab {
  ShownAdvert* shown = nullptr;
};

struct Cursor : sqlite3_vtab_cursor {
  std::size_t row = 0;
};

const ShownAdvert& shown_by(const sqlite3_vtab_cursor* cursor) {
  return *static_cast<const Table*>(cursor->pVtab)->shown;
}

struct SiteRows {
  static std::string declaration() {
    std::vector<std::string_view> names;
    for (const auto& column : kSiteColumns) {
      names.push_back(column.name);
    }
    return fmt::format("CREATE TABLE t ({})", fmt::join(names, ", "));
  }
  static std::size_t count(const ShownAdvert&) { return 1; }
  static Value value(const ShownAdvert& shown, std::size_t, std::size_t column) {
    return kSiteColumns.at(column).value(*shown.site, *shown.advert);
  }
};

struct DatasetRows {
  static std::string declaration() {
    std::vector<std::string_view> names;
    for (const auto& column : kDatasetColumns) {
      names.push_back(column.name);
    }
    return fmt::format("CREATE TABLE t ({})", fmt::join(names, ", "));
  }
  static std::size_t count(const ShownAdvert& shown) { return shown.advert->datasets.size(); }
  static Value value(const ShownAdvert& shown, std::size_t row, std::size_t column) {
    return kDatasetColumns.at(column).value(shown.advert->datasets.at(row));
  }
};

template <class Rows>
int connect(sqlite3* connection, void* shown, int, const char* const*, sqlite3_vtab** out, char**) {
  auto table = std::make_unique<Table>();
  table->shown = static_cast<ShownAdvert*>(shown);
  const int declared = sqlite3_declare_vtab(connection, Rows::declaration().c_str());
  if (declared == SQLITE_OK) {
    *out = table.release();
  }
  return declared;
}

int disconnect(sqlite3_vtab* table) {
  delete static_cast<Table*>(table);
  return SQLITE_OK;
}

// Every query reads all rows, in the advert's order.
int best_index(sqlite3_vtab*, sqlite3_index_info*) { return SQLITE_OK; }

int open_cursor(sqlite3_vtab*, sqlite3_vtab_cursor** out) {
  *out = std::make_unique<Cursor>().release();
  return SQLITE_OK;
}

int close_cursor(sqlite3_vtab_cursor* cursor) {
  delete static_cast<Cursor*>(cursor);
  return SQLITE_OK;
}

int first_row(sqlite3_vtab_cursor* cursor, int, const char*, int, sqlite3_value**) {
  static_cast<Cursor*>(cursor)->row = 0;
  return SQLITE_OK;
}

int next_row(sqlite3_vtab_cursor* cursor) {
  ++static_cast<Cursor*>(cursor)->row;
  return SQLITE_OK;
}

template <class Rows>
int at_end(sqlite3_vtab_cursor* cursor) {
  return static_cast<Cursor*>(cursor)->row >= Rows::count(shown_by(cursor)) ? 1 : 0;
}

template <class Rows>
int column_value(sqlite3_vtab_cursor* cursor, sqlite3_context* context, int column) {
  answer(context, Rows::value(shown_by(cursor), static_cast<Cursor*>(cursor)->row,
                              static_cast<std::size_t>(column)));
  return SQLITE_OK;
}

int row_id(sqlite3_vtab_cursor* cursor, sqlite3_int64* id) {
  *id = static_cast<sqlite3_int64>(static_cast<Cursor*>(cursor)->row);
  return SQLITE_OK;
}

// Without xCreate the table exists by itself and nobody can make another one of its kind.
template <class Rows>
const sqlite3_module& module() {
  static const sqlite3_module kModule = [] {
    sqlite3_module it{};
    it.xConnect = connect<Rows>;
    it.xBestIndex = best_index;
    it.xDisconnect = disconnect;
    it.xOpen = open_cursor;
    it.xClose = close_cursor;
    it.xFilter = first_row;
    it.xNext = next_row;
    it.xEof = at_end<Rows>;
    it.xColumn = column_value<Rows>;
    it.xRowid = row_id;
    return it;
  }();
  return kModule;
}

void label_function(sqlite3_context* context, int, sqlite3_value** arguments) {
  auto& shown = *static_cast<ShownAdvert*>(sqlite3_user_data(context));
  const std::string key(text_of(arguments[0]));
  shown.labels_read.insert(key);
  const auto found = shown.advert->labels.find(key);
  answer(context, found == shown.advert->labels.end() ? Value() : Value(found->second));
}

void has_function(sqlite3_context* context, int, sqlite3_value** arguments) {
  const auto word = fmt::format(" {} ", text_of(arguments[1]));
  const auto list = fmt::format(" {} ", text_of(arguments[0]));
  sqlite3_result_int(context, list.find(word) != std::string::npos ? 1 : 0);
}

std::string sql(const Value& value) {
  if (const auto* integer = std::get_if<std::int64_t>(&value)) {
    return std::to_string(*integer);
  }
  const auto* text = std::get_if<std::string>(&value);
  return text == nullptr ? "NULL" : sql_text(*text);
}

template <class Columns>
std::vector<std::string> names_of(const Columns& columns) {
  std::vector<std::string> names;
  for (const auto& column : columns) {
    names.emplace_back(column.name);
  }
  return names;
}

template <class Columns>
const auto& column_named(const Columns& columns, std::string_view name) {
  const auto found = std::find_if(columns.begin(), columns.end(),
                                  [&](const auto& column) { return column.name == name; });
  ENTENTE_CHECK(found != columns.end());
  return *found;
}

}  // namespace

void add_advert_tables(sqlite3* connection, ShownAdvert& shown) {
  const auto must = [&](int result) {
    if (result != SQLITE_OK) {
      throw std::runtime_error(fmt::format("SQLite: {}", sqlite3_errmsg(connection)));
    }
  };
  must(sqlite3_create_module(connection, "site", &module<SiteRows>(), &shown));
  must(sqlite3_create_module(connection, "dataset", &module<DatasetRows>(), &shown));
  // Not SQLITE_DETERMINISTIC: a constant argument must not be answered once for all adverts.
  must(sqlite3_create_function(connection, "label", 1, SQLITE_UTF8, &shown, label_function, nullptr,
                               nullptr));
  must(sqlite3_create_function(connection, "has", 2, SQLITE_UTF8, nullptr, has_function, nullptr,
                               nullptr));
  // SQLite declares a table when it is first named, and an authorizer would be asked about that.
  must(sqlite3_exec(connection, "SELECT 1 FROM site, dataset LIMIT 0", nullptr, nullptr, nullptr));
}

std::vector<std::string> site_columns() { return names_of(kSiteColumns); }
std::vector<std::string> dataset_columns() { return names_of(kDatasetColumns); }

std::string site_value(const SiteId& site, const SiteAdvert& advert, std::string_view column) {
  return sql(column_named(kSiteColumns, column).value(site, advert));
}

std::string dataset_value(const DatasetAdvert& dataset, std::string_view column) {
  return sql(column_named(kDatasetColumns, column).value(dataset));
}

std::string sql_text(std::string_view text) {
  std::string quoted = "'";
  for (const char c : text) {
    quoted += c;
    if (c == '\'') {
      quoted += c;
    }
  }
  return quoted + "'";
}

}  // namespace entente::broker
