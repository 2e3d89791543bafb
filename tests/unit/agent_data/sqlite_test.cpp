// Tables from a SQLite file.
#include <sqlite3.h>

#include "tests/unit/agent_data/table_fixture.h"

namespace entente::agent {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

class Sqlite : public DataFolder {
 protected:
  Sqlite() {
    sqlite3* database = nullptr;
    ::sqlite3_open((folder_ / "clinic.db").c_str(), &database);
    EXPECT_EQ(::sqlite3_exec(database,
                             "CREATE TABLE patient (id, age REAL, note BLOB, outcome TEXT);"
                             "INSERT INTO patient VALUES (1, 30.25, x'00', 'well'), "
                             "(2, 50, x'01', 'ill'), (3, NULL, x'02', 'ill');",
                             nullptr, nullptr, nullptr),
              SQLITE_OK);
    ::sqlite3_close(database);
  }

  [[nodiscard]] DatasetConfig patients(const std::string& query) const {
    DatasetConfig config;
    config.name = "patients";
    config.source = SqliteQuery{folder_ / "clinic.db", query};
    config.table.features = {"age"};
    config.table.label = "outcome";
    config.table.missing = Missing::constant;
    config.class_names = {"well", "ill"};
    return config;
  }
};

TEST_F(Sqlite, GivesTheRowsOfAQuery) {
  const auto data = load(patients("SELECT age, outcome FROM patient ORDER BY id;"));
  EXPECT_THAT(data.features, ElementsAre(30.25F, 50, 0));
  EXPECT_THAT(data.labels, ElementsAre(0, 1, 1));
  const auto advert = describe_dataset(patients("SELECT age, outcome FROM patient"));
  ASSERT_TRUE(advert);
  EXPECT_EQ(advert->kind, "sqlite");
  EXPECT_EQ(advert->examples, 3U);
}

TEST_F(Sqlite, NothingCanBeChanged) {
  for (const char* query : {"DELETE FROM patient RETURNING *", "SELECT 1; DELETE FROM patient", "",
                            "ATTACH 'other.db' AS other", "PRAGMA user_version = 3"}) {
    EXPECT_THAT(refusal(patients(query)), HasSubstr("not one statement that only reads")) << query;
  }
  EXPECT_EQ(load(patients("SELECT age, outcome FROM patient")).size(), 3U);
}

TEST_F(Sqlite, FaultsAreNamedWithoutContent) {
  EXPECT_EQ(refusal(patients("SELECT agee FROM patient")),
            "clinic.db: cannot run the query: no such column: agee");
  EXPECT_EQ(refusal(patients("SELECT age, note, outcome FROM patient")),
            "clinic.db: row 1 of the query: column \"note\" has bytes, not text or a number");
  EXPECT_EQ(refusal(patients("SELECT outcome AS age, outcome FROM patient")),
            "clinic.db: row 1 of the query: column \"age\" has text where a number belongs");
  EXPECT_THAT(refusal(patients("SELECT json(outcome) AS age, outcome FROM patient")),
              AllOf(HasSubstr("row 1 of the query: SQL logic error"), Not(HasSubstr("well"))));
}

TEST_F(Sqlite, AFileThatIsNoDatabaseIsRefused) {
  auto config = patients("SELECT * FROM patient");
  auto& file = std::get<SqliteQuery>(config.source).file;
  file = write("text.db", "not a database, though as long as the header of one would have to be");
  EXPECT_THAT(refusal(config), HasSubstr("file is not a database"));
  file = folder_ / "gone.db";
  EXPECT_THAT(refusal(config), HasSubstr("cannot open gone.db"));
  file = folder_;
  EXPECT_THAT(refusal(config), HasSubstr("it is no file"));
}

}  // namespace
}  // namespace entente::agent
