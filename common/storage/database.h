// One SQLite database file with the settings that make a commit mean something.
//
// WAL, synchronous=FULL, foreign keys, untrusted schema, defensive mode; `application_id` and
// `user_version` are checked, missing migrations applied in one transaction each, quick_check and
// foreign_key_check run at open. One process and one connection per file: an exclusive flock on
// "<path>.lock" refuses a second one. Not thread-safe.
//
// Failures throw SQLite::Exception; after a failed commit the owner must stop, not retry.
#pragma once

#include <SQLiteCpp/SQLiteCpp.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string_view>

#include "common/base/refusal.h"

namespace entente {

// Migration i takes the schema from user_version i to i + 1.
using Migrations = std::span<const std::string_view>;

class Database {
 public:
  // Opens or makes the file. Refuses with "database_busy" (another process has it),
  // "database_foreign" (another program's file or a newer version's), "database_corrupt".
  [[nodiscard]] static Expected<Database> open(const std::filesystem::path& path,
                                               std::uint32_t application_id, Migrations migrations);
  Database(Database&&) noexcept;
  Database& operator=(Database&&) noexcept;
  ~Database();

  [[nodiscard]] SQLite::Database& sql() { return *connection_; }

 private:
  class Lock;
  Database(std::unique_ptr<Lock> lock, std::unique_ptr<SQLite::Database> connection);
  std::unique_ptr<Lock> lock_;
  std::unique_ptr<SQLite::Database> connection_;
};

// BEGIN IMMEDIATE ... COMMIT; rolls back in the destructor unless committed.
class WriteTransaction {
 public:
  explicit WriteTransaction(Database& database);
  ~WriteTransaction();
  WriteTransaction(const WriteTransaction&) = delete;
  WriteTransaction& operator=(const WriteTransaction&) = delete;
  void commit();

 private:
  SQLite::Database& sql_;
  bool open_ = true;
};

}  // namespace entente
