#include "coordinator/job_command.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "common/config/job_file.h"
#include "common/runtime/system_clock.h"
#include "coordinator/ask.h"
#include "coordinator/explanation_text.h"
#include "coordinator/text.h"
#include "coordinator/watch_display.h"

namespace entente::cli {
namespace {

struct JobArguments {
  std::filesystem::path file;
  std::vector<std::string> overrides;
  bool watch = false;
  bool is_dry_run = false;
  std::string job;
  std::string reason;
};

Expected<JobId> parse_job(const std::string& text) {
  if (const auto id = JobId::parse(text)) {
    return *id;
  }
  return refuse("job_unknown", fmt::format("\"{}\" is no job id", text),
                "list your jobs with: entente job list");
}

ExitCode watch(const Options& options, BrokerClient& client, const JobId& job) {
  Expected<JobSummary> ended = [&] {
    WatchDisplay display(options);
    return client.watch(
        job, [&display](const msg::JobUpdate& update) { display.show(update); },
        [&display](const Refusal& reason) { display.interrupted(reason); });
  }();
  if (!ended) {
    return print_refusal(options, ended.error());
  }
  if (ended->state != JobState::completed) {
    return ExitCode::refused;
  }
  if (!options.json) {
    fmt::print("take the model with: entente model pull {0} -o {0}.safetensors\n", ended->id.str());
  }
  return ExitCode::done;
}

void print_explanation(const Explanation& explanation) { fmt::print("{}", describe(explanation)); }

ExitCode submit(const Options& options, const JobArguments& arguments) {
  const auto spec = read_job_file(arguments.file, arguments.overrides);
  if (!spec) {
    return print_refusal(options, spec.error());
  }
  if (arguments.is_dry_run) {
    return ask_and_print<Explanation>(options, msg::ExplainSpec{*spec}, print_explanation);
  }
  auto client = BrokerClient::connect(options);
  if (!client) {
    return print_refusal(options, client.error());
  }
  const auto job = client->ask<JobSummary>(msg::SubmitJob{*spec});
  if (!job) {
    return print_refusal(options, job.error());
  }
  if (arguments.watch) {
    return watch(options, *client, job->id);
  }
  if (options.json) {
    print_json(to_json(*job));
  } else {
    fmt::print("submitted {}\nfollow it with: entente job watch {}\n", job->id.str(),
               job->id.str());
  }
  return ExitCode::done;
}

void print_jobs(const std::vector<JobSummary>& jobs) {
  if (jobs.empty()) {
    fmt::print("no jobs yet; submit one with: entente job submit FILE\n");
    return;
  }
  std::vector<std::vector<std::string>> rows{
      {"JOB", "STATE", "ROUNDS", "COORDINATOR", "SUBMITTED", "REASON"}};
  for (const auto& job : jobs) {
    rows.push_back({job.id.str(), std::string(to_string(job.state)),
                    fmt::format("{} of {}", job.round, job.rounds), job.coordinator,
                    format_utc(job.submitted_unix_ms), job.reason});
  }
  print_table(rows);
}

ExitCode list(const Options& options) {
  return ask_and_print<std::vector<JobSummary>>(options, msg::ListJobs{}, print_jobs);
}

void print_sites(const JobView& job) {
  std::vector<std::vector<std::string>> rows{
      {"SITE", "PART", "UPDATES", "EXAMPLES", "LEFT THE SITE", "NOW", "REASON"}};
  for (const auto& site : job.sites) {
    std::string now = site.connected ? "connected" : "not connected";
    if (site.task && !is_terminal(job.summary.state)) {
      now = fmt::format("{} ({})", to_string(*site.task), to_string(site.task_state));
    }
    rows.push_back({site.site.str(),
                    site.stands_by ? "stands by" : std::string(to_string(site.enrolment)),
                    std::to_string(site.updates_accepted), with_commas(site.examples),
                    fmt::format("{} in {} tensors", human_bytes(site.bytes_out), site.tensors_out),
                    now, site.reason});
  }
  print_table(rows);
}

void print_rounds(const JobView& job) {
  std::vector<std::vector<std::string>> rows{
      {"ROUND", "STATE", "UPDATES", "TRAINING", "EVALUATION", "MODEL"}};
  for (const auto& round : job.rounds) {
    rows.push_back({std::to_string(round.round), std::string(to_string(round.state)),
                    std::to_string(round.updates), describe(round.train_metrics),
                    describe(round.evaluate_metrics), round.model ? round.model->short_hex() : ""});
  }
  print_table(rows);
}

void print_job(const JobView& job) {
  const auto& summary = job.summary;
  fmt::print("{}\n", summary.id.str());
  print_fields({{"state", std::string(to_string(summary.state))},
                {"reason", summary.reason},
                {"rounds", fmt::format("{} of {}", summary.round, summary.rounds)},
                {"coordinator", summary.coordinator},
                {"submitted", format_utc(summary.submitted_unix_ms)},
                {"dataset", job.spec.train.dataset},
                {"spec", job.spec_digest.short_hex()}});
  if (!job.sites.empty()) {
    fmt::print("\n");
    print_sites(job);
  }
  if (!job.rounds.empty()) {
    fmt::print("\n");
    print_rounds(job);
  }
}

ExitCode show(const Options& options, const JobArguments& arguments) {
  const auto id = parse_job(arguments.job);
  return id ? ask_and_print<JobView>(options, msg::ShowJob{*id}, print_job)
            : print_refusal(options, id.error());
}

ExitCode explain(const Options& options, const JobArguments& arguments) {
  const auto id = parse_job(arguments.job);
  return id ? ask_and_print<Explanation>(options, msg::ExplainJob{*id}, print_explanation)
            : print_refusal(options, id.error());
}

ExitCode watch(const Options& options, const JobArguments& arguments) {
  const auto id = parse_job(arguments.job);
  if (!id) {
    return print_refusal(options, id.error());
  }
  auto client = BrokerClient::connect(options);
  if (!client) {
    return print_refusal(options, client.error());
  }
  return watch(options, *client, *id);
}

ExitCode abort(const Options& options, const JobArguments& arguments) {
  const auto id = parse_job(arguments.job);
  if (!id) {
    return print_refusal(options, id.error());
  }
  auto client = BrokerClient::connect(options);
  if (!client) {
    return print_refusal(options, client.error());
  }
  const auto done = client->ask<msg::Done>(msg::AbortJob{*id, arguments.reason});
  if (!done) {
    return print_refusal(options, done.error());
  }
  if (options.json) {
    print_json({{"job", id->str()}, {"state", "aborted"}});
  } else {
    fmt::print("aborted {}; its sites have been told to stop\n", id->str());
  }
  return ExitCode::done;
}

}  // namespace

void add_job_command(CLI::App& app, const Options& options, Action& chosen) {
  auto* job = app.add_subcommand("job", "Submit jobs and follow them");
  job->require_subcommand(1);
  const auto arguments = std::make_shared<JobArguments>();

  auto* submit_command = job->add_subcommand("submit", "Submit a job file (docs/job-file.md)");
  submit_command->add_option("FILE", arguments->file, "the job file, TOML")->required();
  auto* watches =
      submit_command->add_flag("--watch", arguments->watch, "follow the job until it has ended");
  submit_command
      ->add_flag("--dry-run", arguments->is_dry_run,
                 "say what would happen, site by site, and submit nothing")
      ->excludes(watches);
  submit_command->add_option("--set", arguments->overrides,
                             "override a key of the file, for example rounds=3");
  submit_command->callback([&options, &chosen, arguments] {
    chosen = [&options, arguments] { return submit(options, *arguments); };
  });

  job->add_subcommand("list", "List the jobs you may see")->callback([&options, &chosen] {
    chosen = [&options] { return list(options); };
  });

  const auto add_one = [&](const char* name, const char* help,
                           ExitCode (*run)(const Options&, const JobArguments&)) {
    auto* command = job->add_subcommand(name, help);
    command->add_option("JOB", arguments->job, "the job's id")->required();
    command->callback([&options, &chosen, arguments, run] {
      chosen = [&options, arguments, run] { return run(options, *arguments); };
    });
    return command;
  };
  add_one("show", "Show a job: its sites, rounds and models", show);
  add_one("explain", "Say why a job is where it is, site by site", explain);
  add_one("watch", "Follow a job until it has ended", watch);
  add_one("abort", "Stop a job at every site", abort)
      ->add_option("--reason", arguments->reason, "for the record and the sites");
}

}  // namespace entente::cli
