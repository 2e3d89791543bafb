#include "tests/support/postgres_server.h"

#include <fmt/format.h>
#include <libpq-fe.h>
#include <pwd.h>
#include <signal.h>
#include <unistd.h>

#include <memory>
#include <stdexcept>

#include "tests/support/wait.h"

namespace entente::integration {
namespace {

namespace fs = std::filesystem;

constexpr std::chrono::seconds kInitMax{60};
constexpr std::chrono::seconds kStopMax{20};

// As the user "postgres" where we are root; with SIGQUIT, PostgreSQL's immediate stop, when the
// test dies.
ChildOptions as_postgres(const fs::path& folder, const std::string& program,
                         std::vector<std::string> arguments) {
  ChildOptions options;
  options.program = PostgresServer::programs() / program;
  options.environment = {{"PATH", "/usr/bin:/bin"}, {"LANG", "C.UTF-8"}};
  options.log_file = folder / (program + ".log");
  if (::getuid() == 0) {
    const std::vector<std::string> setpriv{"--reuid",
                                           "postgres",
                                           "--regid",
                                           "postgres",
                                           "--clear-groups",
                                           "--pdeathsig",
                                           "QUIT",
                                           "--",
                                           options.program.string()};
    arguments.insert(arguments.begin(), setpriv.begin(), setpriv.end());
    options.program = "/usr/bin/setpriv";
  }
  options.arguments = std::move(arguments);
  return options;
}

const TempFolder& made(const TempFolder& folder) {
  const auto path = folder.path();
  write_text(path / "password", "s3cret\n");
  if (::getuid() == 0) {
    const passwd* user = ::getpwnam("postgres");
    if (user == nullptr || ::chown(path.c_str(), user->pw_uid, user->pw_gid) != 0) {
      throw std::runtime_error("there is no user \"postgres\"");
    }
  }
  ChildProcess initdb(as_postgres(
      path, "initdb",
      {"-D", (path / "data").string(), "-U", "tester", "--auth=scram-sha-256",
       "--pwfile=" + (path / "password").string(), "--no-sync", "-E", "UTF8", "--locale=C"}));
  const auto ended = initdb.wait_for(kInitMax);
  if (!ended || !ended->success()) {
    throw std::runtime_error("initdb failed: " + read_text(path / "initdb.log"));
  }
  return folder;
}

struct Close {
  void operator()(PGconn* connection) const { ::PQfinish(connection); }
  void operator()(PGresult* result) const { ::PQclear(result); }
};

}  // namespace

fs::path PostgresServer::programs() {
  fs::path newest;
  std::error_code error;
  for (const auto& version : fs::directory_iterator("/usr/lib/postgresql", error)) {
    if (fs::exists(version.path() / "bin/initdb") && version.path() / "bin" > newest) {
      newest = version.path() / "bin";
    }
  }
  return newest;
}

PostgresServer::PostgresServer()
    : server_(as_postgres(made(folder_).path(), "postgres",
                          {"-D", (folder_.path() / "data").string(), "-k", folder_.path().string(),
                           "-c", "listen_addresses=", "-c", "fsync=off"})) {
  wait_until("PostgreSQL answers", [&] {
    if (const auto ended = server_.poll()) {
      throw std::runtime_error("postgres " + ended->to_string() + ": " +
                               read_text(folder_.path() / "postgres.log"));
    }
    return ::PQping(connection().c_str()) == PQPING_OK;
  });
}

PostgresServer::~PostgresServer() {
  server_.send_signal(SIGQUIT);
  (void)server_.wait_for(kStopMax);
}

std::string PostgresServer::connection(const std::string& database) const {
  return fmt::format("host={} dbname={} user=tester password=s3cret", folder_.path().string(),
                     database);
}

void PostgresServer::run(const std::string& sql, const std::string& database) const {
  const std::unique_ptr<PGconn, Close> server(::PQconnectdb(connection(database).c_str()));
  const std::unique_ptr<PGresult, Close> result(::PQexec(server.get(), sql.c_str()));
  const auto status = ::PQresultStatus(result.get());
  if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
    throw std::runtime_error(::PQerrorMessage(server.get()));
  }
}

}  // namespace entente::integration
