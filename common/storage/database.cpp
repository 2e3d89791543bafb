#include "common/storage/database.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sqlite3.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <system_error>
#include <utility>

#include "common/base/check.h"
#include "common/runtime/failpoint.h"

namespace entente {
namespace {

constexpr int kBusyTimeoutMs = 5000;

[[noreturn]] void fail(const std::string& what) { throw SQLite::Exception(what); }

int open_private_file(const std::filesystem::path& path) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) {
    fail(fmt::format("cannot open {}: {}", path.string(), std::generic_category().message(errno)));
  }
  return fd;
}

// Sets a pragma and reads it back: SQLite answers a setting it does not know, or cannot have, with
// silence or with the old value.
void set_pragma(SQLite::Database& sql, const std::string& name, const std::string& value,
                const std::string& expected) {
  sql.exec(fmt::format("PRAGMA {} = {}", name, value));
  SQLite::Statement query(sql, fmt::format("PRAGMA {}", name));
  const std::string answer = query.executeStep() ? query.getColumn(0).getString() : "nothing";
  if (answer != expected) {
    fail(fmt::format("{}: SQLite did not accept {} = {}, it answers {}", sql.getFilename(), name,
                     value, answer));
  }
}

void set_config(SQLite::Database& sql, int option, int value, const char* name) {
  int answer = -1;
  sqlite3_db_config(sql.getHandle(), option, value, &answer);
  if (answer != value) {
    fail(fmt::format("{}: SQLite did not accept {} = {}", sql.getFilename(), name, value));
  }
}

// Changes nothing in the file: it may turn out to be another program's.
void protect_connection(SQLite::Database& sql) {
  set_config(sql, SQLITE_DBCONFIG_DEFENSIVE, 1, "SQLITE_DBCONFIG_DEFENSIVE");
  set_config(sql, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, "SQLITE_DBCONFIG_TRUSTED_SCHEMA");
  set_pragma(sql, "trusted_schema", "OFF", "0");
  set_pragma(sql, "busy_timeout", std::to_string(kBusyTimeoutMs), std::to_string(kBusyTimeoutMs));
  set_pragma(sql, "foreign_keys", "ON", "1");
  set_pragma(sql, "mmap_size", "0", "0");
}

void make_durable(SQLite::Database& sql) {
  set_pragma(sql, "journal_mode", "WAL", "wal");
  set_pragma(sql, "synchronous", "FULL", "2");
}

std::uint32_t read_number(SQLite::Database& sql, const char* query) {
  return static_cast<std::uint32_t>(sql.execAndGet(query).getInt64());
}

Expected<void> check_ours(SQLite::Database& sql, std::uint32_t application_id,
                          std::size_t version_max) {
  const std::uint32_t found_id = read_number(sql, "PRAGMA application_id");
  const bool fresh = found_id == 0 && read_number(sql, "SELECT count(*) FROM sqlite_schema") == 0 &&
                     read_number(sql, "PRAGMA user_version") == 0;
  if (found_id != application_id && !fresh) {
    return refuse("database_foreign",
                  fmt::format("{} belongs to another program (application id {:#x}, not {:#x})",
                              sql.getFilename(), found_id, application_id),
                  "point the data folder somewhere else, or move this file away", Scope::broker);
  }
  const std::uint32_t version = read_number(sql, "PRAGMA user_version");
  if (version > version_max) {
    return refuse("database_foreign",
                  fmt::format("{} has schema version {}, this program knows up to {}",
                              sql.getFilename(), version, version_max),
                  "start the newer version of the program that wrote it", Scope::broker);
  }
  return {};
}

tl::unexpected<Refusal> corrupt(SQLite::Database& sql, const std::string& finding) {
  return refuse("database_corrupt", fmt::format("{} is damaged: {}", sql.getFilename(), finding),
                "keep a copy of the file, then restore the last backup", Scope::broker);
}

Expected<void> check_references(SQLite::Database& sql) {
  SQLite::Statement query(sql, "PRAGMA foreign_key_check");
  if (query.executeStep()) {
    return corrupt(sql,
                   fmt::format("a row of table {} refers to a missing row of {}",
                               query.getColumn(0).getString(), query.getColumn(2).getString()));
  }
  return {};
}

Expected<void> check_content(SQLite::Database& sql) {
  SQLite::Statement query(sql, "PRAGMA quick_check(1)");
  if (!query.executeStep()) {
    return corrupt(sql, "quick_check gave no answer");
  }
  if (const std::string answer = query.getColumn(0).getString(); answer != "ok") {
    return corrupt(sql, answer);
  }
  return check_references(sql);
}

// One transaction: the file is at version `from` or at `from + 1`, whatever happens.
void migrate_once(SQLite::Database& sql, std::uint32_t application_id, std::size_t from,
                  std::string_view migration) {
  SQLite::Transaction transaction(sql, SQLite::TransactionBehavior::IMMEDIATE);
  sql.exec(std::string(migration));
  sql.exec(fmt::format("PRAGMA user_version = {}", from + 1));
  sql.exec(fmt::format("PRAGMA application_id = {}", static_cast<std::int32_t>(application_id)));
  if (const auto sound = check_references(sql); !sound) {
    fail(sound.error().message);
  }
  transaction.commit();
}

// Without foreign keys, which a table that is made anew would break on its way: each migration is
// checked against them at its end.
void migrate(SQLite::Database& sql, std::uint32_t application_id, Migrations migrations) {
  set_pragma(sql, "foreign_keys", "OFF", "0");
  for (std::size_t from = read_number(sql, "PRAGMA user_version"); from < migrations.size();
       ++from) {
    try {
      migrate_once(sql, application_id, from, migrations[from]);
    } catch (const SQLite::Exception& failure) {
      fail(fmt::format("{}: migration to schema version {} failed: {}", sql.getFilename(), from + 1,
                       failure.what()));
    }
  }
  set_pragma(sql, "foreign_keys", "ON", "1");
}

}  // namespace

class Database::Lock {
 public:
  explicit Lock(const std::filesystem::path& path) : fd_(open_private_file(path)) {
    while (::flock(fd_, LOCK_EX | LOCK_NB) != 0) {
      if (errno == EINTR) {
        continue;
      }
      const int error = errno;
      ::close(std::exchange(fd_, -1));
      if (error == EWOULDBLOCK) {
        return;
      }
      fail(
          fmt::format("cannot lock {}: {}", path.string(), std::generic_category().message(error)));
    }
  }
  // The file stays: removing it would let two processes lock two files of the same name.
  ~Lock() {
    if (fd_ >= 0) {
      ::close(fd_);
    }
  }
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;

  [[nodiscard]] bool held() const { return fd_ >= 0; }

 private:
  int fd_;
};

Expected<Database> Database::open(const std::filesystem::path& path, std::uint32_t application_id,
                                  Migrations migrations) {
  ENTENTE_CHECK(application_id != 0 && !migrations.empty());
  auto lock = std::make_unique<Lock>(path.string() + ".lock");
  if (!lock->held()) {
    return refuse("database_busy", fmt::format("{} is in use by another process", path.string()),
                  "stop the other process first; one data folder serves one process",
                  Scope::broker);
  }
  // Made here so that nobody else on the machine can read it; SQLite gives the WAL the same mode.
  ::close(open_private_file(path));
  auto sql = std::make_unique<SQLite::Database>(path.string(), SQLite::OPEN_READWRITE);
  try {
    protect_connection(*sql);
    if (auto ours = check_ours(*sql, application_id, migrations.size()); !ours) {
      return tl::unexpected(std::move(ours.error()));
    }
    if (auto sound = check_content(*sql); !sound) {
      return tl::unexpected(std::move(sound.error()));
    }
    make_durable(*sql);
  } catch (const SQLite::Exception& failure) {
    if (failure.getErrorCode() == SQLITE_NOTADB) {
      return refuse(
          "database_foreign",
          fmt::format("{} is not a database, or its first bytes are damaged", path.string()),
          "restore the last backup, or move the file away", Scope::broker);
    }
    if (failure.getErrorCode() == SQLITE_CORRUPT) {
      return corrupt(*sql, failure.what());
    }
    throw;
  }
  migrate(*sql, application_id, migrations);
  return Database(std::move(lock), std::move(sql));
}

Database::Database(std::unique_ptr<Lock> lock, std::unique_ptr<SQLite::Database> connection)
    : lock_(std::move(lock)), connection_(std::move(connection)) {}

Database::Database(Database&&) noexcept = default;

Database& Database::operator=(Database&& other) noexcept {
  // The connection first: it may not outlive its lock.
  connection_ = std::move(other.connection_);
  lock_ = std::move(other.lock_);
  return *this;
}

Database::~Database() = default;

WriteTransaction::WriteTransaction(Database& database) : sql_(database.sql()) {
  sql_.exec("BEGIN IMMEDIATE");
}

WriteTransaction::~WriteTransaction() {
  // Some errors (a full disk, say) have rolled back already.
  if (open_ && sqlite3_get_autocommit(sql_.getHandle()) == 0) {
    sql_.tryExec("ROLLBACK");
  }
}

void WriteTransaction::commit() {
  ENTENTE_CHECK(open_);
  ENTENTE_FAILPOINT("storage.commit.before");
  sql_.exec("COMMIT");
  open_ = false;
  ENTENTE_FAILPOINT("storage.commit.after");
}

}  // namespace entente
