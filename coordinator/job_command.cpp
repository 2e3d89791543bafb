#include "coordinator/job_command.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "common/config/job_file.h"
#include "common/runtime/system_clock.h"
#include "coordinator/ask.h"
#include "coordinator/explanation_text.h"
#include "coordinator/matrix_command.h"
#include "coordinator/predictions.h"
#include "coordinator/statistics_command.h"
#include "coordinator/submission.h"
#include "coordinator/text.h"
#include "coordinator/watch_display.h"

namespace entente::cli {
namespace {

struct JobArguments {
  std::filesystem::path file;
  Submission submission;
  std::string job;
  std::string reason;
  std::uint64_t after_seq = 0;
  std::string site;
  bool as_file = false;
  std::string state;
  std::string metric;
  bool mine = false;
  std::filesystem::path output;
  bool as_csv = false;
};

// Runs what a command does with the broker and the job that it was given.
template <class Run>
ExitCode with_job(const Options& options, const JobArguments& arguments, Run run) {
  const auto id = parse_job(arguments.job);
  if (!id) {
    return print_refusal(options, id.error());
  }
  auto client = BrokerClient::connect(options);
  return client ? run(*client, *id) : print_refusal(options, client.error());
}

void print_explanation(const Explanation& explanation) { fmt::print("{}", describe(explanation)); }

ExitCode submit(const Options& options, const JobArguments& arguments) {
  return submit_file(options, arguments.file, arguments.submission);
}

ExitCode clone(const Options& options, const JobArguments& arguments) {
  return with_job(options, arguments, [&](BrokerClient& client, const JobId& id) {
    return submit_again(options, client, id, arguments.submission);
  });
}

ExitCode upload(const Options& options, const JobArguments& arguments) {
  return with_job(options, arguments, [&](BrokerClient& client, const JobId& id) {
    return upload_file(options, client, id, arguments.file);
  });
}

void print_jobs(const std::vector<JobSummary>& jobs) {
  if (jobs.empty()) {
    fmt::print("no jobs yet; submit one with: entente job submit FILE\n");
    return;
  }
  std::vector<std::vector<std::string>> rows{
      {"JOB", "KIND", "STATE", "ROUNDS", "COORDINATOR", "SUBMITTED", "REASON"}};
  for (const auto& job : jobs) {
    rows.push_back({job.id.str(), std::string(to_string(job.kind)),
                    std::string(to_string(job.state)),
                    fmt::format("{} of {}", job.round, job.rounds), job.coordinator,
                    format_utc(job.submitted_unix_ms), job.reason});
  }
  print_table(rows);
}

ExitCode list(const Options& options, const JobArguments& arguments) {
  const msg::ListJobs query{parse_job_state(arguments.state), arguments.mine};
  const auto print = [&query](const std::vector<JobSummary>& jobs) {
    if (jobs.empty() && (query.state || query.mine)) {
      fmt::print("no such job; see all of them with: entente job list\n");
    } else {
      print_jobs(jobs);
    }
  };
  return ask_and_print<std::vector<JobSummary>>(options, query, print);
}

void print_sites(const JobView& job) {
  std::vector<std::vector<std::string>> rows{
      {"SITE", "PART", "UPDATES", "EXAMPLES", "LEFT THE SITE", "NOW", "REASON"}};
  for (const auto& site : job.sites) {
    std::string now = site.connected ? "connected" : "not connected";
    const bool has_done_its_part = site.sits_out && site.task_state == TaskState::done;
    if (site.task && !is_terminal(job.summary.state) && !has_done_its_part) {
      now = fmt::format("{} ({})", to_string(*site.task), to_string(site.task_state));
    } else if (site.sits_out) {
      now = "sits out";
    }
    rows.push_back({site.site.str(),
                    site.stands_by ? "stands by" : std::string(to_string(site.enrolment)),
                    std::to_string(site.updates_accepted), with_commas(site.examples),
                    fmt::format("{} in {} tensors", human_bytes(site.bytes_out), site.tensors_out),
                    now, site.reason});
  }
  print_table(rows);
}

std::string model_text(const RoundView& round) {
  if (round.removed || !round.model) {
    return round.removed ? "removed" : "";
  }
  return round.model->short_hex() + (round.model_of.empty() ? "" : " of " + round.model_of);
}

// Of a buffer that fills up also what it takes.
std::string updates_text(const JobView& job, const RoundView& round) {
  const bool fills_up = job.spec.async && round.round > 0 && round.state == RoundState::training;
  return fills_up ? fmt::format("{} of {}", round.updates, job.spec.async->buffer)
                  : std::to_string(round.updates);
}

std::string asynchrony(const JobSpec& spec) {
  if (!spec.async) {
    return {};
  }
  const auto& async = *spec.async;
  return fmt::format(
      "a round takes {} update{}, at most {} version{} late{}", async.buffer,
      async.buffer == 1 ? "" : "s", async.staleness_max, async.staleness_max == 1 ? "" : "s",
      async.concurrency == 0 ? "" : fmt::format("; {} sites train at once", async.concurrency));
}

void print_rounds(const JobView& job) {
  std::vector<std::vector<std::string>> rows{
      {"ROUND", "STATE", "UPDATES", "TRAINING", "EVALUATION", "MODEL"}};
  for (const auto& round : job.rounds) {
    const bool is_given_up = is_terminal(job.summary.state) && round.state != RoundState::done;
    const auto counted = round.evaluated_at == 0
                             ? std::string()
                             : fmt::format(" ({} {})", round.evaluated_at,
                                           round.evaluated_at == 1 ? "site" : "sites");
    rows.push_back({std::to_string(round.round),
                    is_given_up ? "given up" : std::string(to_string(round.state)),
                    updates_text(job, round), describe(round.train_metrics),
                    describe(round.evaluate_metrics) + counted, model_text(round)});
  }
  print_table(rows);
}

// Each site's own part in the newest evaluation that has counted it.
void print_evaluations(const JobView& job) {
  std::vector<std::vector<std::string>> rows{{"SITE", "EVALUATED", "EXAMPLES", "METRICS THERE"}};
  for (const auto& site : job.sites) {
    if (site.evaluated_round > 0) {
      rows.push_back({site.site.str(), fmt::format("round {}", site.evaluated_round),
                      with_commas(site.evaluation_examples), describe(site.evaluate_metrics)});
    }
  }
  if (rows.size() > 1) {
    fmt::print("\n");
    print_table(rows);
  }
}

void print_job(const JobView& job) {
  const auto& summary = job.summary;
  fmt::print("{}\n", summary.id.str());
  print_fields({{"kind", std::string(to_string(summary.kind))},
                {"state", std::string(to_string(summary.state))},
                {"reason", summary.reason},
                {"rounds", fmt::format("{} of {}", summary.round, summary.rounds)},
                {"coordinator", summary.coordinator},
                {"submitted", format_utc(summary.submitted_unix_ms)},
                {"dataset", job.spec.train.dataset},
                {"asynchronous", asynchrony(job.spec)},
                {"spec", job.spec_digest.short_hex()}});
  if (!job.sites.empty()) {
    fmt::print("\n");
    print_sites(job);
  } else if (!is_terminal(summary.state)) {
    fmt::print("\nno site takes part yet; each one's part with: entente job explain {}\n",
               summary.id.str());
  }
  if (!job.rounds.empty()) {
    fmt::print("\n");
    print_rounds(job);
  }
  print_evaluations(job);
}

ExitCode show(const Options& options, const JobArguments& arguments) {
  const auto id = parse_job(arguments.job);
  if (!id) {
    return print_refusal(options, id.error());
  }
  const auto print_file = [](const JobView& job) { fmt::print("{}", job_file_text(job.spec)); };
  return arguments.as_file ? ask_and_print<JobView>(options, msg::ShowJob{*id}, print_file)
                           : ask_and_print<JobView>(options, msg::ShowJob{*id}, print_job);
}

// Everything that has happened so far, a line each.
ExitCode logs(const Options& options, const JobArguments& arguments) {
  return with_job(options, arguments, [&](BrokerClient& client, const JobId& id) {
    WatchDisplay display(options);
    auto after = arguments.after_seq;
    for (;;) {
      const auto events = client.ask<std::vector<JobEvent>>(msg::ListEvents{id, after});
      if (!events) {
        return print_refusal(options, events.error());
      }
      if (events->empty()) {
        return ExitCode::done;
      }
      for (const auto& event : *events) {
        if (arguments.site.empty() || event.site == arguments.site) {
          if (!options.json) {
            fmt::print("{}  ", format_utc(event.unix_ms));
          }
          display.show(event);
        }
      }
      after = events->back().seq;
    }
  });
}

ExitCode statistics(const Options& options, const JobArguments& arguments) {
  return with_job(options, arguments, [&](BrokerClient& client, const JobId& id) {
    const auto job = client.ask<JobView>(msg::ShowJob{id});
    if (!job) {
      return print_refusal(options, job.error());
    }
    if (const auto counted = check_counted(*job); !counted) {
      return print_refusal(options, counted.error());
    }
    if (options.json) {
      print_json(statistics_json(*job));
    } else {
      print_statistics(*job);
    }
    return ExitCode::done;
  });
}

ExitCode predictions(const Options& options, const JobArguments& arguments) {
  return with_job(options, arguments, [&](BrokerClient& client, const JobId& id) {
    return take_predictions(options, client, id, arguments.output, arguments.as_csv);
  });
}

ExitCode matrix(const Options& options, const JobArguments& arguments) {
  return with_job(options, arguments, [&](BrokerClient& client, const JobId& id) {
    const auto job = client.ask<JobView>(msg::ShowJob{id});
    if (!job) {
      return print_refusal(options, job.error());
    }
    const auto found = matrix_of(*job, arguments.metric);
    if (!found) {
      return print_refusal(options, found.error());
    }
    if (options.json) {
      print_json(matrix_json(*job, *found));
    } else {
      fmt::print("{}", matrix_text(*job, *found, terminal_width()));
    }
    return ExitCode::done;
  });
}

ExitCode explain(const Options& options, const JobArguments& arguments) {
  const auto id = parse_job(arguments.job);
  return id ? ask_and_print<Explanation>(options, msg::ExplainJob{*id}, print_explanation)
            : print_refusal(options, id.error());
}

ExitCode watch(const Options& options, const JobArguments& arguments) {
  return with_job(options, arguments, [&](BrokerClient& client, const JobId& id) {
    return follow(options, client, id, arguments.after_seq);
  });
}

ExitCode abort(const Options& options, const JobArguments& arguments) {
  return with_job(options, arguments, [&](BrokerClient& client, const JobId& id) {
    const auto done = client.ask<msg::Done>(msg::AbortJob{id, arguments.reason});
    if (!done) {
      return print_refusal(options, done.error());
    }
    if (options.json) {
      print_json({{"job", id.str()}, {"state", "aborted"}});
    } else {
      fmt::print("aborted {}; its sites have been told to stop\n", id.str());
    }
    return ExitCode::done;
  });
}

ExitCode pause(const Options& options, const JobArguments& arguments) {
  const auto id = parse_job(arguments.job);
  const auto print = [](const JobSummary& job) {
    fmt::print(
        "paused {0}; its sites stop, and what it has so far stays\n"
        "go on with: entente job resume {0}\n",
        job.id.str());
  };
  return id ? ask_and_print<JobSummary>(options, msg::PauseJob{*id, arguments.reason}, print)
            : print_refusal(options, id.error());
}

ExitCode resume(const Options& options, const JobArguments& arguments) {
  const auto id = parse_job(arguments.job);
  const auto print = [](const JobSummary& job) {
    fmt::print("{0} is {1}{2}{3}\nfollow it with: entente job watch {0}\n", job.id.str(),
               to_string(job.state), job.reason.empty() ? "" : ": ", job.reason);
  };
  return id ? ask_and_print<JobSummary>(options, msg::ResumeJob{*id}, print)
            : print_refusal(options, id.error());
}

}  // namespace

void add_job_command(CLI::App& app, const Options& options, Action& chosen) {
  auto* job = app.add_subcommand("job", "Submit jobs and follow them");
  job->require_subcommand(1);
  const auto arguments = std::make_shared<JobArguments>();

  const auto add_submission = [arguments](CLI::App* command) {
    auto* watches = command->add_flag("--watch", arguments->submission.watch,
                                      "follow the job until it has ended");
    command
        ->add_flag("--dry-run", arguments->submission.is_dry_run,
                   "say what would happen, site by site, and submit nothing")
        ->excludes(watches);
    command->add_option("--set", arguments->submission.overrides,
                        "override a key of the file, for example rounds=3");
    command
        ->add_option("--token", arguments->submission.token,
                     "submit once, however often this is run with the same words")
        ->check([](const std::string& token) {
          return token.empty() ? "it is empty; choose a word, or leave it out" : "";
        });
  };
  auto* submit_command = job->add_subcommand("submit", "Submit a job file (docs/job-file.md)");
  submit_command->add_option("FILE", arguments->file, "the job file, TOML")->required();
  add_submission(submit_command);
  submit_command->callback([&options, &chosen, arguments] {
    chosen = [&options, arguments] { return submit(options, *arguments); };
  });

  auto* list_command = job->add_subcommand("list", "List the jobs you may see");
  list_command->add_option("--state", arguments->state, "only those in this state")
      ->check(CLI::IsMember(
          {"queued", "matching", "running", "paused", "completed", "failed", "aborted"}));
  list_command->add_flag("--mine", arguments->mine, "only those that you have submitted");
  list_command->callback([&options, &chosen, arguments] {
    chosen = [&options, arguments] { return list(options, *arguments); };
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
  const auto add_after = [arguments](CLI::App* command) {
    command->add_option("--after", arguments->after_seq,
                        "only events after this number (seq of --json)");
  };
  add_one("show", "Show a job: its sites, rounds and models", show)
      ->add_flag("--file", arguments->as_file, "as a job file that can be submitted");
  add_one("statistics", "Show what a job of the kind statistics has counted", statistics);
  auto* predictions_command =
      add_one("predictions", "Take the predictions of a job of the kind predict", predictions);
  predictions_command->add_option("-o,--output", arguments->output, "the file to write")
      ->required();
  predictions_command->add_flag("--csv", arguments->as_csv,
                                "as a table with a column for each output");
  add_one("upload", "Bring a file that a job waits for, or go on with it", upload)
      ->add_option("FILE", arguments->file, "the file that the job was submitted with")
      ->required();
  add_one("matrix", "Show how each site's model does on each site's data (kind cross_evaluate)",
          matrix)
      ->add_option("--metric", arguments->metric, "another one than accuracy, or loss");
  add_one("explain", "Say why a job is where it is, site by site", explain);
  add_after(add_one("watch", "Follow a job until it has ended", watch));
  auto* logs_command = add_one("logs", "Show what has happened so far, and when", logs);
  add_after(logs_command);
  logs_command->add_option("--site", arguments->site, "only what concerns this site");
  add_submission(add_one("clone", "Submit a job again, with changes", clone));
  const auto add_reason = [arguments](CLI::App* command) {
    command->add_option("--reason", arguments->reason, "for the record and the sites");
  };
  add_reason(add_one("pause", "Give a job's slots back until it is resumed", pause));
  add_one("resume", "Let a paused job go on where it was", resume);
  add_reason(add_one("abort", "Stop a job at every site", abort));
}

}  // namespace entente::cli
