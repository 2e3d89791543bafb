// entente-broker: the composition root of the consortium's broker.
#include <CLI/CLI.hpp>
#include <cstdio>

#include "broker/service/broker_service.h"
#include "broker/service/config.h"
#include "common/base/version.h"
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

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"The broker of an Entente consortium: matches jobs to sites, merges their updates."};
  app.set_version_flag("--version", std::string("entente-broker ") + entente::kVersion);
  app.require_subcommand(1);
  std::string config_file;
  bool log_json = false;
  auto* serve = app.add_subcommand("serve", "Run the broker until it is stopped (SIGTERM, Ctrl-C)");
  serve->add_option("--config", config_file, "broker.toml; see docs/broker-config.md")->required();
  serve
      ->add_option_function<std::string>(
          "--log-format", [&log_json](const std::string& format) { log_json = format == "json"; },
          "text (default) or json")
      ->check(CLI::IsMember({"text", "json"}));
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }

  entente::StopSignal stop;
  entente::log::start(log_json ? entente::log::Format::json : entente::log::Format::text,
                      entente::log::Level::info, "entente-broker");
  const auto config = entente::broker::read_broker_config(config_file);
  if (!config) {
    return report(config.error());
  }
  const auto served = entente::broker::serve(*config, stop);
  return served ? 0 : report(served.error());
}
