// entente-broker: the composition root of the consortium's broker.
#include <CLI/CLI.hpp>
#include <cstdio>

#include "broker/service/broker_service.h"
#include "broker/service/check.h"
#include "broker/service/config.h"
#include "common/base/version.h"
#include "common/config/command_line.h"
#include "common/runtime/hangup_signal.h"
#include "common/runtime/log.h"
#include "common/runtime/stop_signal.h"

namespace {

int report(const entente::Refusal& refusal) {
  std::fprintf(stderr, "error: %s\n", refusal.message.c_str());
  if (!refusal.hint.empty()) {
    std::fprintf(stderr, "hint: %s\n", refusal.hint.c_str());
  }
  return 1;
}

// An installation's folder can be named by its configuration or as itself.
struct CheckOptions {
  std::string data_dir;
  std::string config_file;
  bool json = false;
};

CLI::App* add_check(CLI::App& app, CheckOptions& options) {
  auto* check = app.add_subcommand(
      "check", "Check a data directory, with no broker running on it; 0: sound, 1: not");
  auto* folder = check->add_option("DIR", options.data_dir, "the broker's data_dir");
  check->add_option("--config", options.config_file, "broker.toml, instead of DIR")
      ->excludes(folder);
  check->add_flag("--json", options.json, "print JSON");
  return check;
}

int run_check(const CheckOptions& options) {
  std::filesystem::path data_dir = options.data_dir;
  if (data_dir.empty()) {
    if (options.config_file.empty()) {
      std::fprintf(stderr, "error: name the data directory, or broker.toml with --config\n");
      return 2;
    }
    const auto config = entente::broker::read_broker_config(options.config_file);
    if (!config) {
      return report(config.error());
    }
    data_dir = config->data_dir;
  }
  const auto checked = entente::broker::check_data_directory(data_dir);
  if (!checked) {
    return report(checked.error());
  }
  const auto text = options.json ? entente::broker::to_json(*checked, data_dir)
                                 : entente::broker::to_text(*checked, data_dir);
  std::fputs(text.c_str(), stdout);
  return checked->problems.empty() ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"The broker of an Entente consortium: matches jobs to sites, merges their updates."};
  app.set_version_flag("--version", std::string("entente-broker ") + entente::kVersion);
  app.require_subcommand(1);
  app.failure_message(entente::usage_error);
  std::string config_file;
  bool log_json = false;
  auto* serve = app.add_subcommand("serve", "Run the broker until it is stopped (SIGTERM, Ctrl-C)");
  serve->add_option("--config", config_file, "broker.toml; see docs/broker-config.md")->required();
  serve
      ->add_option_function<std::string>(
          "--log-format", [&log_json](const std::string& format) { log_json = format == "json"; },
          "text (default) or json")
      ->check(CLI::IsMember({"text", "json"}));
  CheckOptions check_options;
  const auto* check = add_check(app, check_options);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }

  if (check->parsed()) {
    return run_check(check_options);
  }
  entente::StopSignal stop;
  entente::HangupSignal hangup;
  entente::log::start(log_json ? entente::log::Format::json : entente::log::Format::text,
                      entente::log::Level::info, "entente-broker");
  const auto config = entente::broker::read_broker_config(config_file);
  if (!config) {
    return report(config.error());
  }
  const auto served = entente::broker::serve(*config, stop, hangup);
  return served ? 0 : report(served.error());
}
