#include "coordinator/submission.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <system_error>

#include "common/config/job_file.h"
#include "coordinator/ask.h"
#include "coordinator/explanation_text.h"
#include "coordinator/local_files.h"
#include "coordinator/statistics_command.h"
#include "coordinator/watch_display.h"

namespace entente::cli {
namespace {

// What a coordinator does with a job that has completed.
std::string next_step(const JobSummary& job) {
  const auto id = job.id.str();
  if (job.kind == JobKind::predict) {
    return fmt::format("take them with: entente job predictions {0} -o {0}.safetensors", id);
  }
  if (job.kind == JobKind::cross_evaluate) {
    return fmt::format("see how each model does elsewhere with: entente job matrix {}", id);
  }
  if (trains(job.kind)) {
    return fmt::format("take the model with: entente model pull {0} -o {0}.safetensors", id);
  }
  return job.kind == JobKind::statistics
             ? fmt::format("see what it has counted with: entente job statistics {}", id)
             : fmt::format("see what it found with: entente job show {}", id);
}

ExitCode explain(const Options& options, BrokerClient& client, const JobSpec& spec) {
  const auto explanation = client.ask<Explanation>(msg::ExplainSpec{spec});
  if (!explanation) {
    return print_refusal(options, explanation.error());
  }
  if (options.json) {
    print_json(to_json(*explanation));
  } else {
    fmt::print("{}", describe(*explanation));
  }
  return ExitCode::done;
}

// The job is submitted, whatever becomes of its files.
Refusal not_brought(const JobId& job, Refusal reason) {
  reason.message =
      fmt::format("{} is submitted and waits for its file, which could not be sent: {}", job.str(),
                  reason.message);
  reason.hint = fmt::format("go on with: entente job upload {} FILE", job.str());
  return reason;
}

ExitCode submit(const Options& options, BrokerClient& client, JobSpec spec, const LocalFiles& files,
                const Submission& how) {
  if (auto resolved = resolve_normalisation(client, spec); !resolved) {
    return print_refusal(options, resolved.error());
  }
  if (how.is_dry_run) {
    return explain(options, client, spec);
  }
  const auto job = client.submit(spec, how.token);
  if (!job) {
    return print_refusal(options, job.error());
  }
  if (!options.json && !how.watch) {
    fmt::print("submitted {}\n", job->id.str());
  }
  // Of a job that was submitted before with the same token the broker may have one already.
  if (const auto sent = files.send(options, client, LocalFiles::NotAwaited::skip); !sent) {
    return print_refusal(options, not_brought(job->id, sent.error()));
  }
  if (!options.json && brought_files(spec).size() > files.ready().size()) {
    fmt::print(
        "it waits for the file of the job that it was made from; bring it with: "
        "entente job upload {} FILE\n",
        job->id.str());
  }
  if (how.watch) {
    return follow(options, client, job->id);
  }
  if (options.json) {
    auto json = to_json(*job);
    for (const auto& [file, path] : files.ready()) {
      json["files"].push_back(
          {{"key", key_of(file.use)}, {"blob", file.blob.hex()}, {"bytes", file.bytes}});
    }
    print_json(json);
  } else {
    fmt::print("follow it with: entente job watch {}\n", job->id.str());
  }
  return ExitCode::done;
}

// Files that cannot be read are reported like any other refusal.
ExitCode submit(const Options& options, BrokerClient& client, JobSpec spec, const FilePaths& paths,
                const Submission& how) {
  try {
    LocalFiles files;
    if (auto read = files.read(spec, paths); !read) {
      return print_refusal(options, read.error());
    }
    return submit(options, client, std::move(spec), files, how);
  } catch (const std::system_error& error) {
    return print_refusal(options, {"file_unreadable", error.what(), "check the disk"});
  }
}

ExitCode upload(const Options& options, BrokerClient& client, const JobId& id,
                const std::filesystem::path& path) {
  const auto job = client.ask<JobView>(msg::ShowJob{id});
  if (!job) {
    return print_refusal(options, job.error());
  }
  LocalFiles files;
  if (auto read = files.read(job->spec, id, path); !read) {
    return print_refusal(options, read.error());
  }
  if (auto sent = files.send(options, client, LocalFiles::NotAwaited::refuse); !sent) {
    auto reason = sent.error();
    if (reason.code == "not_granted") {
      reason.message = fmt::format("{} does not wait for this file, or not for yours: it is {}{}{}",
                                   id.str(), to_string(job->summary.state),
                                   job->summary.reason.empty() ? "" : ": ", job->summary.reason);
      reason.hint = "see what it waits for with: entente job explain " + id.str();
    }
    return print_refusal(options, reason);
  }
  if (options.json) {
    const auto& file = files.ready().front().file;
    print_json({{"job", id.str()}, {"blob", file.blob.hex()}, {"bytes", file.bytes}});
  } else {
    fmt::print("the broker has it; follow the job with: entente job watch {}\n", id.str());
  }
  return ExitCode::done;
}

// A file that the new job names by the digest of the old one's is the same file: it need not be
// here.
void keep_files(const JobSpec& old, JobSpec& spec, FilePaths& paths) {
  for (const auto& file : brought_files(old)) {
    const auto path = paths.find(file.use);
    if (path == paths.end() || path->second.string() != file.blob.hex()) {
      continue;
    }
    paths.erase(path);
    switch (file.use) {
      case FileUse::initial_model:
        spec.init = old.init;
        break;
      case FileUse::inputs:
        spec.predict->inputs = file.blob;
        spec.predict->inputs_bytes = file.bytes;
        spec.predict->examples = old.predict->examples;
        break;
    }
  }
}

}  // namespace

ExitCode follow(const Options& options, BrokerClient& client, const JobId& job,
                std::uint64_t after_seq) {
  Expected<JobSummary> ended = [&] {
    WatchDisplay display(options);
    return client.watch(
        job, after_seq, [&display](const msg::JobUpdate& update) { display.show(update); },
        [&display](const Refusal& reason) { display.interrupted(reason); });
  }();
  if (!ended) {
    return print_refusal(options, ended.error());
  }
  if (ended->state != JobState::completed) {
    return ExitCode::refused;
  }
  if (!options.json) {
    fmt::print("{}\n", next_step(*ended));
  }
  return ExitCode::done;
}

ExitCode submit_file(const Options& options, const std::filesystem::path& job_file,
                     const Submission& how) {
  FilePaths paths;
  const auto spec = read_job_file(job_file, how.overrides, &paths);
  if (!spec) {
    return print_refusal(options, spec.error());
  }
  auto client = BrokerClient::connect(options);
  return client ? submit(options, *client, *spec, paths, how)
                : print_refusal(options, client.error());
}

ExitCode submit_again(const Options& options, BrokerClient& client, const JobId& id,
                      const Submission& how) {
  const auto job = client.ask<JobView>(msg::ShowJob{id});
  if (!job) {
    return print_refusal(options, job.error());
  }
  if (const auto sound = validate(job->spec); !sound || !has_its_files(job->spec)) {
    return print_refusal(
        options,
        {"job_invalid",
         fmt::format("the broker tells of {} what this program does not understand", id.str()),
         "see whether there is a newer version of it"});
  }
  FilePaths paths;
  auto spec = parse_job_file(job_file_text(job->spec), id.str(), how.overrides, &paths);
  if (!spec) {
    return print_refusal(options, spec.error());
  }
  keep_files(job->spec, *spec, paths);
  return submit(options, client, *spec, paths, how);
}

ExitCode upload_file(const Options& options, BrokerClient& client, const JobId& id,
                     const std::filesystem::path& path) {
  try {
    return upload(options, client, id, path);
  } catch (const std::system_error& error) {
    return print_refusal(options, {"file_unreadable", error.what(), "check the disk"});
  }
}

}  // namespace entente::cli
