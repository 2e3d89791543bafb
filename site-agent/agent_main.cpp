// entente-agent: the composition root of a site's agent, and the commands for the site's people.
#include <CLI/CLI.hpp>
#include <chrono>
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
#include "site-agent/service/trainer_examination.h"

namespace {

constexpr entente::Millis kApprovalMax = std::chrono::hours{366 * 24};
constexpr entente::Millis kPatienceMax = std::chrono::hours{24};
// Of the names of what is looked at in a trainer, which are printed one by one.
constexpr std::size_t kCheckWidth = 14;

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
  entente::agent::TrainerTrial trial;
  std::string silence;
  std::string limit;
  bool json = false;
  bool tests_trainer = false;
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
  const auto findings = entente::agent::examine(config, options.config_file);
  const auto text =
      options.json ? entente::agent::to_json_text(findings) : entente::agent::to_text(findings);
  std::fputs(text.c_str(), stdout);
  return entente::agent::any_failed(findings) ? 1 : 0;
}

void add_trainer_test_command(CLI::App& app, Options& options) {
  auto* command =
      add_command(app, "trainer-test",
                  "Hold a trainer against the trainer contract, on this site's data", options);
  command->add_option("NAME", options.trial.trainer,
                      "one of [[trainers]] in agent.toml (default: [trainer] program)");
  command->add_option("--dataset", options.trial.dataset, "which to train on (default: the first)");
  command->add_option("--job", options.trial.job,
                      "a job file whose model and training are tried (default: one linear layer)");
  command->add_option("--silence", options.silence,
                      "how long the trainer may say nothing: \"60s\" (default)");
  command->add_option("--limit", options.limit, "how long one command may take: \"10m\" (default)");
  command->add_flag("--json", options.json, "print JSON");
  command->callback([&options] { options.tests_trainer = true; });
}

// The duration of an option that is given; false when it is none.
bool read_duration(const char* option, const std::string& text, entente::Millis max,
                   entente::Millis& duration) {
  if (text.empty()) {
    return true;
  }
  const auto given = entente::parse_duration(text);
  if (!given || *given <= entente::Millis{0} || *given > max) {
    std::fprintf(stderr, "error: %s %s is no time of up to %lld hours\nhint: write 90s or 12h\n",
                 option, text.c_str(),
                 static_cast<long long>(std::chrono::floor<std::chrono::hours>(max).count()));
    return false;
  }
  duration = *given;
  return true;
}

int test_trainer(Options& options) {
  auto& patience = options.trial.patience;
  if (!read_duration("--silence", options.silence, kPatienceMax, patience.silence) ||
      !read_duration("--limit", options.limit, kPatienceMax, patience.command)) {
    return 2;
  }
  const auto config = entente::agent::read_agent_config(options.config_file);
  if (!config) {
    return report(config.error());
  }
  const auto print = [&options](const entente::agent::Finding& finding) {
    if (!options.json) {
      std::fputs(entente::agent::to_text({finding}, kCheckWidth).c_str(), stdout);
      std::fflush(stdout);
    }
  };
  const auto found = entente::agent::examine_trainer(*config, options.trial, print);
  if (!found) {
    return report(found.error());
  }
  if (options.json) {
    std::fputs(entente::agent::to_json_text(found->findings).c_str(), stdout);
  } else if (!found->log_tail.empty()) {
    std::printf("\nwhat the trainer has printed last:\n%s", found->log_tail.c_str());
  }
  return entente::agent::any_failed(found->findings) ? 1 : 0;
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
  entente::Millis hold{0};
  if (!read_duration("--for", options.hold, kApprovalMax, hold)) {
    return 2;
  }
  if (!options.hold.empty()) {
    options.people.hold = hold;
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
  add_trainer_test_command(app, options);
  add_people_commands(app, options);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }

  if (!options.people.verb.empty()) {
    return run_people_command(options);
  }
  if (options.tests_trainer) {
    return test_trainer(options);
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
