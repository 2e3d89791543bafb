// Tables from a real PostgreSQL server.
#include "tests/support/postgres_server.h"

#include <sys/resource.h>

#include "tests/unit/agent_data/table_fixture.h"

namespace entente::agent {
namespace {

using integration::PostgresServer;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

class Postgres : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_FALSE(PostgresServer::programs().empty()) << "packages.txt has postgresql";
    if (!server_) {
      server_ = std::make_unique<PostgresServer>();
      server_->run(
          "CREATE TABLE patient (id int, age double precision, smokes boolean, outcome text);"
          "INSERT INTO patient VALUES (1, 30.5, true, 'well'), (2, 50, false, 'ill'), "
          "(3, NULL, false, 'ill');");
    }
  }
  static void TearDownTestSuite() { server_.reset(); }

  static DatasetConfig patients(const std::string& query) {
    DatasetConfig config;
    config.name = "patients";
    config.source = PostgresQuery{server_->connection(), query};
    config.table.features = {"age", "smokes"};
    config.table.label = "outcome";
    config.table.missing = Missing::mean;
    config.class_names = {"well", "ill"};
    return config;
  }
  static std::string refusal(const DatasetConfig& config) {
    const auto loaded = load_dataset(config);
    EXPECT_FALSE(loaded);
    return loaded ? "" : loaded.error().message + loaded.error().hint;
  }

  // One server for all tests: each takes it as it is, and changes nothing.
  inline static std::unique_ptr<PostgresServer> server_;
};

TEST_F(Postgres, GivesTheRowsOfAQuery) {
  const auto data = load_dataset(patients("SELECT * FROM patient ORDER BY id"));
  ASSERT_TRUE(data) << data.error().message;
  EXPECT_THAT(data->features, ElementsAre(30.5F, 1, 50, 0, 40.25F, 0));
  EXPECT_THAT(data->labels, ElementsAre(0, 1, 1));
  const auto advert = describe_dataset(patients("SELECT * FROM patient"));
  ASSERT_TRUE(advert) << advert.error().message;
  EXPECT_EQ(advert->kind, "postgres");
  EXPECT_EQ(advert->examples, 3U);
}

long peak_kilobytes() {
  rusage usage{};
  EXPECT_EQ(::getrusage(RUSAGE_SELF, &usage), 0);
  return usage.ru_maxrss;
}

// A hundred thousand rows of a kilobyte come to a hundred megabytes.
TEST_F(Postgres, StreamsMoreRowsThanItWouldHoldAtOnce) {
  const auto before = peak_kilobytes();
  const auto data = load_dataset(
      patients("SELECT i AS age, i % 2 = 0 AS smokes, 'well' AS outcome, repeat('x', 1000) AS note "
               "FROM generate_series(0, 99999) AS i"));
  ASSERT_TRUE(data) << data.error().message;
  EXPECT_EQ(data->size(), 100'000U);
  EXPECT_EQ(data->features[2 * 99'999], 99'999.0F);
  EXPECT_LT(peak_kilobytes() - before, 50'000);
}

TEST_F(Postgres, AQueryWithoutRowsHasNoExamples) {
  const auto data = load_dataset(patients("SELECT * FROM patient WHERE id > 9"));
  ASSERT_TRUE(data) << data.error().message;
  EXPECT_EQ(data->size(), 0U);
}

TEST_F(Postgres, NothingCanBeChanged) {
  EXPECT_THAT(refusal(patients("DELETE FROM patient RETURNING *")), HasSubstr("SQLSTATE 25006"));
  EXPECT_THAT(refusal(patients("SELECT 1; DELETE FROM patient")), HasSubstr("multiple commands"));
  EXPECT_THAT(refusal(patients("COMMIT")), HasSubstr("gives no rows"));
  EXPECT_EQ(load_dataset(patients("SELECT * FROM patient"))->size(), 3U);
}

TEST_F(Postgres, FaultsAreNamedWithoutContent) {
  EXPECT_THAT(refusal(patients("SELECT agee FROM patient")),
              HasSubstr("the database refuses the query: column \"agee\" does not exist"));
  EXPECT_THAT(refusal(patients("SELECT outcome::int AS age FROM patient")),
              AllOf(HasSubstr("SQLSTATE 22P02"), Not(HasSubstr("well"))));
  EXPECT_THAT(refusal(patients("SELECT outcome AS age, smokes, outcome FROM patient")),
              HasSubstr("query of patients, row 1: column \"age\" has text where a number"));
}

TEST_F(Postgres, APasswordIsNeverShown) {
  auto config = patients("SELECT 1");
  auto& connection = std::get<PostgresQuery>(config.source).connection;
  connection += "-wrong";
  EXPECT_THAT(refusal(config), AllOf(HasSubstr("cannot connect to the database of dataset"),
                                     Not(HasSubstr("s3cret"))));
  connection = "host=/nonexistent password=s3cret";
  EXPECT_THAT(refusal(config), Not(HasSubstr("s3cret")));
  connection = "pasword=s3cret";
  EXPECT_THAT(refusal(config), Not(HasSubstr("s3cret")));
}

}  // namespace
}  // namespace entente::agent
