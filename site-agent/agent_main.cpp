// entente-agent: the composition root of a site's agent, and the commands for the site's people.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "common/base/version.h"
#include "common/config/command_line.h"
#include "common/config/quantity.h"
#include "common/runtime/hangup_signal.h"
#include "common/runtime/log.h"
#include "common/runtime/stop_signal.h"
#include "site-agent/service/agent_config.h"
#include "site-agent/service/doctor.h"
#include "site-agent/service/local_commands.h"
#include "site-agent/service/people_commands.h"
#include "site-agent/service/serve.h"

namespace {

constexpr entente::Millis kApprovalMax = std::chrono::hours{366 * 24};

int report(const entente::Refusal& refusal) {
  std::fprintf(stderr, "error: %s\n", refusal.message.c_str());
  if (!refusal.hint.empty()) {
    std::fprintf(stderr, "hint: %s\n", refusal.hint.c_str());
  }
  return refusal.code == "agent_unreachable" ? 3 : 1;
}

struct Options {
  std::string config_file;
  std::string log_format = "text";
  std::string hold;
  entente::agent::PeopleCommand people;
  bool json = false;
};

CLI::App* add_command(CLI::App& app, const char* name, const char* what, Options& options) {
  CLI::App* command = app.add_subcommand(name, what);
  command->add_option("--config", options.config_file, "agent.toml; see docs/agent-config.md")
      ->required();
  return command;
}

int serve(const entente::agent::AgentConfig& config, const Options& options) {
  using entente::log::Format;
  entente::StopSignal stop;
  entente::HangupSignal reread;
  entente::log::start(options.log_format == "json" ? Format::json : Format::text,
                      entente::log::Level::info, "entente-agent");
  const auto served =
      entente::agent::serve(config, options.config_file, {stop, reread}, std::_Exit);
  return served ? 0 : report(served.error());
}

int show_sent(const entente::agent::AgentConfig& config, const Options& options) {
  const auto text = entente::agent::show_sent(config, options.json);
  if (!text) {
    return report(text.error());
  }
  std::fputs(text->c_str(), stdout);
  return 0;
}

int examine(const entente::agent::AgentConfig& config, const Options& options) {
  using entente::agent::Health;
  const auto findings = entente::agent::examine(config, options.config_file);
  const auto text =
      options.json ? entente::agent::to_json_text(findings) : entente::agent::to_text(findings);
  std::fputs(text.c_str(), stdout);
  return std::any_of(findings.begin(), findings.end(),
                     [](const auto& finding) { return finding.health == Health::fail; })
             ? 1
             : 0;
}

CLI::App* add_people_command(CLI::App& app, const char* name, const char* what, Options& options) {
  CLI::App* command = add_command(app, name, what, options);
  command->add_flag("--json", options.json, "print JSON");
  command->callback([&options, name] { options.people.verb = name; });
  return command;
}

void add_people_commands(CLI::App& app, Options& options) {
  add_people_command(app, "pending", "Show the jobs that wait for approval here", options)
      ->add_option("JOB", options.people.job, "one of this site's jobs, with its whole file");
  add_people_command(app, "status", "Show what the running agent does", options);
  auto* approve = add_people_command(app, "approve", "Approve a job that waits", options);
  auto* deny = add_people_command(app, "deny", "Deny a job that waits or runs here", options);
  auto* pause = add_people_command(app, "pause", "Stop all work of this site at once", options);
  add_people_command(app, "resume", "Go on after a pause", options);
  for (auto* command : {approve, deny}) {
    command->add_option("JOB", options.people.job, "the job's id")->required();
  }
  for (auto* command : {approve, pause}) {
    command->add_option("--reason", options.people.reason, "for the record");
  }
  deny->add_option("--reason", options.people.reason, "for the record and the coordinator")
      ->required();
  approve->add_option("--for", options.hold, "how long it holds: \"12h\", \"7d\" (default)");
}

int run_people_command(Options& options) {
  if (!options.hold.empty()) {
    const auto hold = entente::parse_duration(options.hold);
    if (!hold || *hold <= entente::Millis{0} || *hold > kApprovalMax) {
      std::fprintf(stderr, "error: --for %s is no time of up to a year\nhint: write 12h or 7d\n",
                   options.hold.c_str());
      return 2;
    }
    options.people.hold = *hold;
  }
  const auto data_dir = entente::agent::read_data_dir(options.config_file);
  if (!data_dir) {
    return report(data_dir.error());
  }
  const auto text = entente::agent::run_people_command(*data_dir, options.people, options.json);
  if (!text) {
    return report(text.error());
  }
  std::fputs(text->c_str(), stdout);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{
      "A site's agent in an Entente consortium: the data stays, updates leave, by policy."};
  app.set_version_flag("--version", std::string("entente-agent ") + entente::kVersion);
  app.require_subcommand(1);
  app.failure_message(entente::usage_error);
  Options options;
  auto* serve_command =
      add_command(app, "serve", "Run the agent until it is stopped (SIGTERM, Ctrl-C)", options);
  serve_command->add_option("--log-format", options.log_format, "text (default) or json")
      ->check(CLI::IsMember({"text", "json"}));
  auto* datasets_command = add_command(
      app, "datasets", "Show this site's datasets and how their classes are spread", options);
  datasets_command->add_flag("--json", options.json, "print JSON");
  add_command(app, "sent", "Show the ledger of what has left the house", options)
      ->add_flag("--json", options.json, "print JSON");
  auto* doctor_command =
      add_command(app, "doctor", "Look at all that the agent needs, and say what to do", options);
  doctor_command->add_flag("--json", options.json, "print JSON");
  add_people_commands(app, options);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }

  if (!options.people.verb.empty()) {
    return run_people_command(options);
  }
  const auto config = entente::agent::read_agent_config(options.config_file);
  if (!config) {
    return report(config.error());
  }
  if (serve_command->parsed()) {
    return serve(*config, options);
  }
  if (datasets_command->parsed()) {
    const auto shown = entente::agent::show_datasets(*config, options.json);
    std::fputs(shown.text.c_str(), stdout);
    return shown.all_readable ? 0 : 1;
  }
  if (doctor_command->parsed()) {
    return examine(*config, options);
  }
  return show_sent(*config, options);
}
