#include "common/storage/database.h"

#include <gtest/gtest.h>
#include <sqlite3.h>
#include <stdlib.h>

#include <array>
#include <fstream>
#include <string>
#include <string_view>

namespace entente {
namespace {

namespace fs = std::filesystem;

constexpr std::uint32_t kOurs = 0x454e5454;
constexpr std::array<std::string_view, 2> kMigrations{
    "CREATE TABLE site (id TEXT PRIMARY KEY) STRICT;"
    "CREATE TABLE task (site TEXT NOT NULL REFERENCES site (id)) STRICT;",
    "ALTER TABLE site ADD COLUMN note TEXT NOT NULL DEFAULT ''"};

class DatabaseTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string folder = (fs::temp_directory_path() / "entente-storage-XXXXXX").string();
    ASSERT_NE(::mkdtemp(folder.data()), nullptr);
    folder_ = folder;
    path_ = folder_ / "state.db";
  }
  void TearDown() override { fs::remove_all(folder_); }

  Expected<Database> open(Migrations migrations = kMigrations) {
    return Database::open(path_, kOurs, migrations);
  }

  // What another program with the same file would do.
  void run_raw(const std::string& statements) {
    SQLite::Database raw(path_.string(), SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE);
    raw.exec(statements);
  }

  fs::path folder_;
  fs::path path_;
};

std::string pragma(Database& database, const std::string& name) {
  return database.sql().execAndGet("PRAGMA " + name).getString();
}

TEST_F(DatabaseTest, HasTheSettingsThatMakeACommitMeanSomething) {
  auto database = open();
  ASSERT_TRUE(database) << database.error().message;
  EXPECT_EQ(pragma(*database, "journal_mode"), "wal");
  EXPECT_EQ(pragma(*database, "synchronous"), "2");
  EXPECT_EQ(pragma(*database, "foreign_keys"), "1");
  EXPECT_EQ(pragma(*database, "trusted_schema"), "0");
  EXPECT_EQ(pragma(*database, "mmap_size"), "0");
  EXPECT_EQ(pragma(*database, "busy_timeout"), "5000");
  EXPECT_EQ(pragma(*database, "application_id"), std::to_string(kOurs));
  EXPECT_EQ(pragma(*database, "user_version"), "2");
  int defensive = 0;
  sqlite3_db_config(database->sql().getHandle(), SQLITE_DBCONFIG_DEFENSIVE, -1, &defensive);
  EXPECT_EQ(defensive, 1);
}

TEST_F(DatabaseTest, IsReadableByItsOwnerOnly) {
  auto database = open();
  ASSERT_TRUE(database);
  const auto others = fs::perms::group_all | fs::perms::others_all;
  for (const auto& entry : fs::directory_iterator(folder_)) {
    EXPECT_EQ(entry.status().permissions() & others, fs::perms::none) << entry.path();
  }
}

TEST_F(DatabaseTest, KeepsRowsAndAppliesOnlyMissingMigrations) {
  {
    auto database = open(std::span(kMigrations).first(1));
    ASSERT_TRUE(database);
    EXPECT_EQ(pragma(*database, "user_version"), "1");
    WriteTransaction transaction(*database);
    database->sql().exec("INSERT INTO site (id) VALUES ('north')");
    transaction.commit();
  }
  auto database = open();
  ASSERT_TRUE(database) << database.error().message;
  EXPECT_EQ(database->sql().execAndGet("SELECT id || note FROM site").getString(), "north");
}

TEST_F(DatabaseTest, RefusesASecondOwnerUntilTheFirstLetsGo) {
  {
    auto first = open();
    ASSERT_TRUE(first);
    auto second = open();
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, "database_busy");
  }
  EXPECT_TRUE(open());
}

TEST_F(DatabaseTest, KeepsItsLockWhenMoved) {
  auto first = open();
  ASSERT_TRUE(first);
  Database moved = std::move(*first);
  EXPECT_EQ(open().error().code, "database_busy");
  EXPECT_EQ(pragma(moved, "user_version"), "2");
}

TEST_F(DatabaseTest, LeavesAnotherProgramsDatabaseAsItWas) {
  run_raw("CREATE TABLE theirs (x); PRAGMA application_id = 7");
  const auto before = fs::file_size(path_);
  const auto database = open();
  ASSERT_FALSE(database);
  EXPECT_EQ(database.error().code, "database_foreign");
  EXPECT_EQ(fs::file_size(path_), before);
  SQLite::Database raw(path_.string());
  EXPECT_EQ(raw.execAndGet("PRAGMA journal_mode").getString(), "delete");
}

TEST_F(DatabaseTest, RefusesTablesWithoutAnApplicationId) {
  run_raw("CREATE TABLE theirs (x)");
  EXPECT_EQ(open().error().code, "database_foreign");
}

TEST_F(DatabaseTest, RefusesAFileThatIsNoDatabase) {
  std::ofstream(path_) << std::string(4096, 'x');
  EXPECT_EQ(open().error().code, "database_foreign");
}

TEST_F(DatabaseTest, RefusesANewerSchemaVersion) {
  { ASSERT_TRUE(open()); }
  const auto database = open(std::span(kMigrations).first(1));
  ASSERT_FALSE(database);
  EXPECT_EQ(database.error().code, "database_foreign");
  EXPECT_NE(database.error().message.find("version 2"), std::string::npos);
}

TEST_F(DatabaseTest, RefusesADamagedPage) {
  {
    auto database = open();
    ASSERT_TRUE(database);
    database->sql().exec("INSERT INTO site (id) VALUES ('north')");
  }
  const auto size = fs::file_size(path_);
  ASSERT_GT(size, 8192u);
  std::fstream file(path_, std::ios::in | std::ios::out | std::ios::binary);
  for (std::uintmax_t page = 4096; page < size; page += 4096) {
    file.seekp(static_cast<std::streamoff>(page));
    file << std::string(64, '\xff');
  }
  file.close();
  const auto database = open();
  ASSERT_FALSE(database);
  EXPECT_EQ(database.error().code, "database_corrupt");
}

TEST_F(DatabaseTest, RefusesRowsThatReferToNothing) {
  { ASSERT_TRUE(open()); }
  run_raw("INSERT INTO task (site) VALUES ('nowhere')");
  const auto database = open();
  ASSERT_FALSE(database);
  EXPECT_EQ(database.error().code, "database_corrupt");
  EXPECT_NE(database.error().message.find("task"), std::string::npos);
}

TEST_F(DatabaseTest, AFailedMigrationLeavesTheVersionBefore) {
  constexpr std::array<std::string_view, 2> broken{
      kMigrations[0],
      "INSERT INTO site (id) VALUES ('half'); CREATE TABLE oops (x NONSENSE) STRICT"};
  EXPECT_THROW((void)open(broken), SQLite::Exception);
  auto database = open(std::span(kMigrations).first(1));
  ASSERT_TRUE(database) << database.error().message;
  EXPECT_EQ(database->sql().execAndGet("SELECT count(*) FROM site").getInt(), 0);
}

TEST_F(DatabaseTest, EnforcesForeignKeys) {
  auto database = open();
  ASSERT_TRUE(database);
  EXPECT_THROW(database->sql().exec("INSERT INTO task (site) VALUES ('nowhere')"),
               SQLite::Exception);
}

TEST_F(DatabaseTest, ThrowsWhenTheFolderIsMissing) {
  EXPECT_THROW((void)Database::open(folder_ / "no" / "state.db", kOurs, kMigrations),
               SQLite::Exception);
}

TEST_F(DatabaseTest, RollsBackATransactionThatWasNotCommitted) {
  auto database = open();
  ASSERT_TRUE(database);
  {
    WriteTransaction transaction(*database);
    database->sql().exec("INSERT INTO site (id) VALUES ('north')");
  }
  EXPECT_EQ(database->sql().execAndGet("SELECT count(*) FROM site").getInt(), 0);
  {
    WriteTransaction transaction(*database);
    database->sql().exec("INSERT INTO site (id) VALUES ('south')");
    transaction.commit();
  }
  EXPECT_EQ(database->sql().execAndGet("SELECT count(*) FROM site").getInt(), 1);
}

TEST_F(DatabaseTest, CanGoOnAfterAFailedCommitWasRolledBack) {
  auto database = open();
  ASSERT_TRUE(database);
  {
    WriteTransaction transaction(*database);
    database->sql().exec("PRAGMA defer_foreign_keys = ON");
    database->sql().exec("INSERT INTO task (site) VALUES ('nowhere')");
    EXPECT_THROW(transaction.commit(), SQLite::Exception);
  }
  EXPECT_EQ(database->sql().execAndGet("SELECT count(*) FROM task").getInt(), 0);
  WriteTransaction transaction(*database);
  transaction.commit();
}

}  // namespace
}  // namespace entente
