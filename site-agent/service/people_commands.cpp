#include "site-agent/service/people_commands.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "common/runtime/system_clock.h"
#include "site-agent/service/control_socket.h"

namespace entente::agent {
namespace {

using nlohmann::json;

std::string describe_job(const json& job) {
  return fmt::format("  {:<24} of {}, {} rounds on {}\n      spec {}\n", job.value("job", ""),
                     job.value("coordinator", ""), job.value("rounds", 0), job.value("dataset", ""),
                     job.value("spec_digest", ""));
}

std::string pending_text(const json& answer) {
  if (answer.at("jobs").empty()) {
    return "no job waits for approval\n";
  }
  std::string text = "waiting for approval:\n";
  for (const auto& job : answer.at("jobs")) {
    text += describe_job(job);
  }
  return text + "decide with: entente-agent approve JOB, or deny JOB --reason WHY\n";
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
  text += fmt::format("{} tasks running, {} results not yet confirmed by the broker\n",
                      answer.value("running_tasks", 0), answer.value("unsent_results", 0));
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
