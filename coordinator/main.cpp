// entente: the command line of coordinators, operators and auditors.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <exception>

#include "common/base/version.h"
#include "common/config/command_line.h"
#include "coordinator/audit_command.h"
#include "coordinator/dataset_command.h"
#include "coordinator/job_command.h"
#include "coordinator/local_command.h"
#include "coordinator/model_command.h"
#include "coordinator/output.h"
#include "coordinator/pki_command.h"
#include "coordinator/site_command.h"

int main(int argc, char** argv) {
  using entente::cli::ExitCode;
  // A broker that is gone is an error of a write, not the end of this process (net/tls_stream.h).
  std::signal(SIGPIPE, SIG_IGN);
  CLI::App app{"Entente: train one model together while each one's data stays at home."};
  app.set_version_flag("--version", std::string("entente ") + entente::kVersion);
  app.require_subcommand(1);
  app.failure_message(entente::usage_error);
  app.fallthrough();  // --kit and --json may stand anywhere

  entente::cli::Options options;
  entente::cli::Action chosen;
  app.add_option("--kit", options.kit, "folder with your certificate and key")
      ->envname("ENTENTE_KIT");
  app.add_flag("--json", options.json, "print JSON");
  entente::cli::add_job_command(app, options, chosen);
  entente::cli::add_site_command(app, options, chosen);
  entente::cli::add_dataset_command(app, options, chosen);
  entente::cli::add_model_command(app, options, chosen);
  entente::cli::add_audit_command(app, options, chosen);
  entente::cli::add_pki_command(app, options, chosen);
  entente::cli::add_local_command(app, options, chosen);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : static_cast<int>(ExitCode::usage);
  }
  try {
    return static_cast<int>(chosen());
  } catch (const std::exception& error) {
    if (std::ferror(stdout) != 0 && errno == EPIPE) {
      return static_cast<int>(ExitCode::done);  // whoever read what is printed has seen enough
    }
    fmt::print(stderr, "error: {}\n", error.what());
    return static_cast<int>(ExitCode::refused);
  }
}
