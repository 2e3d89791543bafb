// A PostgreSQL server of the test's own: a new cluster in a temporary folder, reachable by a unix
// socket there and by no network, gone afterwards. Runs as the user "postgres" when the test is
// root, which PostgreSQL refuses to be.
#pragma once

#include <filesystem>
#include <string>

#include "common/runtime/child_process.h"
#include "tests/support/temp_folder.h"

namespace entente::integration {

class PostgresServer {
 public:
  // The folder of initdb and postgres; empty where PostgreSQL is not installed.
  [[nodiscard]] static std::filesystem::path programs();

  PostgresServer();
  ~PostgresServer();
  PostgresServer(const PostgresServer&) = delete;
  PostgresServer& operator=(const PostgresServer&) = delete;

  // A connection string for libpq; the superuser is "tester", the password "s3cret".
  [[nodiscard]] std::string connection(const std::string& database = "postgres") const;
  // Runs SQL as the superuser. Throws std::runtime_error with the server's words.
  void run(const std::string& sql, const std::string& database = "postgres") const;

 private:
  TempFolder folder_;
  ChildProcess server_;
};

}  // namespace entente::integration
