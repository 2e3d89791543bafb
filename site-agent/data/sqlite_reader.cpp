#include "site-agent/data/sqlite_reader.h"

#include <fmt/format.h>
#include <sqlite3.h>

#include <new>

#include "common/base/check.h"
#include "common/base/limits.h"
#include "common/base/quote.h"
#include "site-agent/data/source.h"

namespace entente::agent {
namespace {

struct Close {
  void operator()(sqlite3* database) const { ::sqlite3_close(database); }
  void operator()(sqlite3_stmt* statement) const { ::sqlite3_finalize(statement); }
};
using Database = std::unique_ptr<sqlite3, Close>;
using Statement = std::unique_ptr<sqlite3_stmt, Close>;

class SqliteReader final : public TableReader {
 public:
  SqliteReader(std::string file, Database database, Statement statement)
      : file_(std::move(file)), database_(std::move(database)), statement_(std::move(statement)) {
    for (int i = 0; i < ::sqlite3_column_count(statement_.get()); ++i) {
      columns_.emplace_back(::sqlite3_column_name(statement_.get(), i));
    }
  }

  [[nodiscard]] const std::vector<std::string>& columns() const override { return columns_; }
  [[nodiscard]] std::string place() const override {
    return fmt::format("{}: row {} of the query", file_, row_);
  }

  [[nodiscard]] Expected<bool> next(std::vector<Cell>& row) override {
    const int code = ::sqlite3_step(statement_.get());
    if (code == SQLITE_DONE) {
      return false;
    }
    ++row_;
    if (code != SQLITE_ROW) {  // in general words: those of the connection may quote content
      return invalid_dataset(fmt::format("{}: {}", place(), ::sqlite3_errstr(code)),
                             "run the query with the program sqlite3");
    }
    row.resize(columns_.size());
    for (int i = 0; i < static_cast<int>(row.size()); ++i) {
      const int type = ::sqlite3_column_type(statement_.get(), i);
      if (type == SQLITE_BLOB) {
        return invalid_dataset(fmt::format("{}: column {} has bytes, not text or a number", place(),
                                           quote(columns_[static_cast<std::size_t>(i)])),
                               "leave the column out of the query, or convert it");
      }
      const auto* text = reinterpret_cast<const char*>(::sqlite3_column_text(statement_.get(), i));
      const auto bytes = static_cast<std::size_t>(::sqlite3_column_bytes(statement_.get(), i));
      if (text == nullptr && type != SQLITE_NULL) {  // not a missing value: one that was not got
        throw std::bad_alloc();
      }
      row[static_cast<std::size_t>(i)] =
          text == nullptr ? Cell() : Cell(std::string_view(text, bytes));
    }
    return true;
  }

 private:
  std::string file_;
  Database database_;
  Statement statement_;
  std::vector<std::string> columns_;
  std::size_t row_ = 0;
};

// Whatever the file's own schema says, it cannot make the query do more than read.
void restrict_to_reading(sqlite3* database) {
  const bool restricted =
      ::sqlite3_db_config(database, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr) == SQLITE_OK &&
      ::sqlite3_db_config(database, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr) == SQLITE_OK;
  ENTENTE_CHECK(restricted);  // any SQLite that we are built with knows both
  ::sqlite3_limit(database, SQLITE_LIMIT_LENGTH, static_cast<int>(limits::kTableRowBytesMax));
}

}  // namespace

Expected<std::unique_ptr<TableReader>> open_sqlite(const DatasetConfig& config) {
  const auto& [path, query] = std::get<SqliteQuery>(config.source);
  const auto file = path.filename().string();
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error)) {
    return missing_file(path, error ? error.message() : "it is no file");
  }
  sqlite3* opened = nullptr;
  const int code = ::sqlite3_open_v2(path.c_str(), &opened, SQLITE_OPEN_READONLY, nullptr);
  Database database(opened);
  if (code != SQLITE_OK) {
    return missing_file(path, ::sqlite3_errstr(code));
  }
  restrict_to_reading(database.get());
  sqlite3_stmt* prepared = nullptr;
  const char* tail = nullptr;
  const int compiled = ::sqlite3_prepare_v2(database.get(), query.data(),
                                            static_cast<int>(query.size()), &prepared, &tail);
  Statement statement(prepared);
  if (compiled != SQLITE_OK) {
    return invalid_dataset(
        fmt::format("{}: cannot run the query: {}", file, ::sqlite3_errmsg(database.get())),
        "correct the query in agent.toml");
  }
  const std::string_view rest(tail, static_cast<std::size_t>(query.data() + query.size() - tail));
  if (!statement || ::sqlite3_column_count(prepared) == 0 || !::sqlite3_stmt_readonly(prepared) ||
      rest.find_first_not_of(" \t\r\n;") != std::string_view::npos) {
    return invalid_dataset(fmt::format("{}: the query is not one statement that only reads", file),
                           "write query = \"SELECT ...\"");
  }
  return std::make_unique<SqliteReader>(file, std::move(database), std::move(statement));
}

}  // namespace entente::agent
