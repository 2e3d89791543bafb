#include "site-agent/service/people_commands.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "common/base/figures.h"
#include "common/runtime/system_clock.h"
#include "site-agent/service/control_socket.h"

namespace entente::agent {
namespace {

using nlohmann::json;

std::string what_leaves(const json& job) {
  const auto bytes = human_bytes(job.value("update_bytes", std::uint64_t{0}));
  if (job.contains("rows")) {
    const auto own = job.contains("own") ? fmt::format(", with what {} has left here laid over it,",
                                                       job.value("own", ""))
                                         : std::string();
    return fmt::format("{} leave the site: what the model{} says of {} that the coordinator brings",
                       bytes, own, counted(job.value("rows", std::uint64_t{0}), "row"));
  }
  return job.contains("update_bytes")
             ? fmt::format("{} leave the site in a round, as {}", bytes, job.value("encoding", ""))
             : "metrics leave the site, and the counts that they follow from";
}

std::string describe_job(const json& job) {
  std::string text =
      fmt::format("{}\n  by {}: {} on {}, {}, at {} or more{}\n", job.value("job", ""),
                  job.value("coordinator", ""), job.value("kind", ""), job.value("dataset", ""),
                  counted(job.value("rounds", std::uint64_t{0}), "round"),
                  counted(job.value("sites_min", std::uint64_t{0}), "site"),
                  job.contains("strategy") ? ", merged by " + job.value("strategy", "") : "");
  if (job.contains("parameters")) {
    text += fmt::format("  a model of {}; {}\n",
                        counted(job.value("parameters", std::uint64_t{0}), "parameter"),
                        what_leaves(job));
  }
  if (job.contains("columns")) {
    const auto columns = job.value("columns", std::vector<std::string>());
    text +=
        fmt::format("  counts of {} leave the site, without what too few rows say\n",
                    columns.empty() ? "all columns" : fmt::format("{}", fmt::join(columns, ", ")));
  }
  if (const auto stays = job.value("stays_bytes", std::uint64_t{0}); stays > 0) {
    text += fmt::format("  {} of the site's own are trained beside it and stay here\n",
                        human_bytes(stays));
  }
  return text + fmt::format("  spec {}\n", job.value("spec_digest", ""));
}

std::string one_job_text(const json& job) {
  const auto waits = job.value("waits", "");
  return describe_job(job) + (waits.empty() ? "" : fmt::format("  {}\n", waits)) +
         "\nthe job file:\n\n" + job.value("file", "");
}

std::string pending_text(const json& answer) {
  if (!answer.contains("jobs")) {
    return one_job_text(answer);
  }
  if (answer.at("jobs").empty()) {
    return "no job waits for approval\n";
  }
  std::string text;
  for (const auto& job : answer.at("jobs")) {
    text += describe_job(job);
  }
  return text +
         "read one whole with: entente-agent pending JOB; decide with: approve JOB, or deny JOB "
         "--reason WHY\n";
}

std::string since_text(const json& pause) {
  const auto reason = pause.value("reason", "");
  return fmt::format("paused by {} since {}{}\n", pause.value("who", ""),
                     format_utc(pause.value("since_unix_ms", std::int64_t{0})),
                     reason.empty() ? "" : ": " + reason);
}

std::string status_text(const json& answer) {
  std::string text = answer.value("connected", false) ? "connected to the broker\n"
                                                      : "not connected to the broker\n";
  text += answer.value("paused", false) ? since_text(answer.at("pause")) : "at work\n";
  text += fmt::format("{} running, {} not yet confirmed by the broker\n",
                      counted(answer.value("running_tasks", std::uint64_t{0}), "task"),
                      counted(answer.value("unsent_results", std::uint64_t{0}), "result"));
  for (const auto& job : answer.at("jobs")) {
    const auto waits = job.value("waits", "");
    text += fmt::format("  {:<24} of {}: {}\n", job.value("job", ""), job.value("coordinator", ""),
                        !waits.empty()                 ? waits
                        : job.value("accepted", false) ? "takes part"
                                                       : "checking the data");
  }
  return text;
}

std::string text_of(const std::string& verb, const json& answer) {
  if (verb == "pending") {
    return pending_text(answer);
  }
  if (verb == "status") {
    return status_text(answer);
  }
  if (verb == "pause") {
    return "all work is stopped; nothing is sent; go on with: entente-agent resume\n";
  }
  if (verb == "resume") {
    return "the site is at work again\n";
  }
  const auto job = answer.value("job", "");
  if (verb == "deny") {
    return fmt::format("{} is denied; the coordinator hears why\n", job);
  }
  return fmt::format("{} is approved until {}, for the spec {}\n", job,
                     format_utc(answer.value("until_unix_ms", std::int64_t{0})),
                     answer.value("spec_digest", ""));
}

}  // namespace

Expected<std::string> run_people_command(const std::filesystem::path& data_dir,
                                         const PeopleCommand& command, bool as_json) {
  const json request{{"verb", command.verb},
                     {"job", command.job},
                     {"reason", command.reason},
                     {"for_ms", command.hold.count()}};
  const auto answer = ask_agent(data_dir, request);
  if (!answer) {
    return tl::unexpected(answer.error());
  }
  return as_json ? answer->dump(2, ' ', false, json::error_handler_t::replace) + "\n"
                 : text_of(command.verb, *answer);
}

}  // namespace entente::agent
