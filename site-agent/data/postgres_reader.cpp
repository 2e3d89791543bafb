#include "site-agent/data/postgres_reader.h"

#include <fmt/format.h>
#include <libpq-fe.h>

#include <array>

#include "common/base/limits.h"
#include "common/base/quote.h"
#include "site-agent/data/source.h"

namespace entente::agent {
namespace {

// Of pg_catalog.pg_type: stable since PostgreSQL has it.
constexpr Oid kBoolean = 16;
// A server that does not answer holds the agent's start up for so long.
constexpr const char* kConnectSeconds = "10";

struct Close {
  void operator()(PGconn* connection) const { ::PQfinish(connection); }
  void operator()(PGresult* result) const { ::PQclear(result); }
};
using Connection = std::unique_ptr<PGconn, Close>;
using Result = std::unique_ptr<PGresult, Close>;

class PostgresReader final : public TableReader {
 public:
  PostgresReader(std::string dataset, Connection connection)
      : dataset_(std::move(dataset)), connection_(std::move(connection)) {}

  // Sends the query, and reads up to its first row to know the columns.
  Expected<void> begin(const std::string& query) {
    const Result begun(
        ::PQexec(connection_.get(), "BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"));
    if (::PQresultStatus(begun.get()) != PGRES_COMMAND_OK) {
      return refused(begun.get());
    }
    // With parameters, of which there are none, a text of two statements is refused by the server.
    if (::PQsendQueryParams(connection_.get(), query.c_str(), 0, nullptr, nullptr, nullptr, nullptr,
                            /*resultFormat=*/0) == 0 ||
        ::PQsetSingleRowMode(connection_.get()) == 0) {
      return lost();
    }
    if (auto received = receive(); !received) {
      return received;
    }
    for (int i = 0; i < ::PQnfields(result_.get()); ++i) {
      columns_.emplace_back(::PQfname(result_.get(), i));
    }
    if (columns_.empty()) {
      return invalid_dataset(fmt::format("{}: the query gives no rows", place()),
                             "write query = \"SELECT ...\"");
    }
    return {};
  }

  [[nodiscard]] const std::vector<std::string>& columns() const override { return columns_; }
  [[nodiscard]] std::string place() const override {
    return fmt::format("query of {}, row {}", dataset_, row_);
  }

  [[nodiscard]] Expected<bool> next(std::vector<Cell>& row) override {
    if (row_ > 0) {
      if (auto received = receive(); !received) {
        return tl::unexpected(received.error());
      }
    }
    if (::PQresultStatus(result_.get()) == PGRES_TUPLES_OK) {  // behind the last row
      return false;
    }
    ++row_;
    std::size_t bytes = 0;
    row.resize(columns_.size());
    for (int i = 0; i < static_cast<int>(row.size()); ++i) {
      row[static_cast<std::size_t>(i)] = cell(i);
      bytes += static_cast<std::size_t>(::PQgetlength(result_.get(), 0, i));
    }
    if (bytes > limits::kTableRowBytesMax) {
      return invalid_dataset(
          fmt::format("{}: is longer than {} MiB", place(), limits::kTableRowBytesMax >> 20));
    }
    return true;
  }

 private:
  [[nodiscard]] Cell cell(int column) const {
    if (::PQgetisnull(result_.get(), 0, column) != 0) {
      return std::nullopt;
    }
    const std::string_view text(::PQgetvalue(result_.get(), 0, column),
                                static_cast<std::size_t>(::PQgetlength(result_.get(), 0, column)));
    if (::PQftype(result_.get(), column) == kBoolean) {
      return text == "t" ? "1" : "0";
    }
    return text;
  }

  // The next row, or the end of the rows.
  Expected<void> receive() {
    result_.reset(::PQgetResult(connection_.get()));
    const auto status = ::PQresultStatus(result_.get());
    if (status != PGRES_SINGLE_TUPLE && status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) {
      return refused(result_.get());
    }
    return {};
  }

  [[nodiscard]] tl::unexpected<Refusal> lost() const {
    return invalid_dataset(fmt::format("{}: the connection to the database is lost", place()),
                           "look into the log of the database server");
  }

  [[nodiscard]] tl::unexpected<Refusal> refused(const PGresult* result) const {
    const char* state = ::PQresultErrorField(result, PG_DIAG_SQLSTATE);
    if (state == nullptr) {
      return lost();
    }
    const std::string_view kind = std::string_view(state).substr(0, 2);
    const char* words = ::PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    const bool is_about_the_query = kind == "42" || kind == "3D" || kind == "3F";
    return invalid_dataset(
        is_about_the_query && words != nullptr
            ? fmt::format("{}: the database refuses the query: {}", place(), words)
            : fmt::format("{}: the database refuses the query with SQLSTATE {}", place(), state),
        "run the query with psql as the agent's user");
  }

  std::string dataset_;
  Connection connection_;
  Result result_;
  std::vector<std::string> columns_;
  std::size_t row_ = 0;
};

}  // namespace

Expected<std::unique_ptr<TableReader>> open_postgres(const DatasetConfig& config) {
  const auto& postgres = std::get<PostgresQuery>(config.source);
  // What stands before the connection string is a default, what stands behind it a rule.
  constexpr std::array<const char*, 5> kKeys{"connect_timeout", "application_name", "dbname",
                                             "client_encoding", nullptr};
  const std::array<const char*, 5> values{kConnectSeconds, "entente-agent",
                                          postgres.connection.c_str(), "UTF8", nullptr};
  Connection connection(::PQconnectdbParams(kKeys.data(), values.data(), /*expand_dbname=*/1));
  if (::PQstatus(connection.get()) != CONNECTION_OK) {
    return refuse("dataset_missing",
                  fmt::format("cannot connect to the database of dataset {}", quote(config.name)),
                  "run psql with the same connection as the agent's user: it says why",
                  Scope::site);
  }
  auto reader = std::make_unique<PostgresReader>(config.name, std::move(connection));
  if (auto begun = reader->begin(postgres.query); !begun) {
    return tl::unexpected(begun.error());
  }
  return reader;
}

}  // namespace entente::agent
