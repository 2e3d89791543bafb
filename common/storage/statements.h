// The statements of one connection: prepared when first asked for, and kept.
#pragma once

#include <SQLiteCpp/SQLiteCpp.h>

#include <map>

namespace entente {

class Statements {
 public:
  explicit Statements(SQLite::Database& database) : database_(&database) {}
  // Reset and without bindings. `sql` must be a literal: its address is the key.
  [[nodiscard]] SQLite::Statement& prepare(const char* sql);

 private:
  SQLite::Database* database_;
  std::map<const char*, SQLite::Statement> prepared_;
};

}  // namespace entente
