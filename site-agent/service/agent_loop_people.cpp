#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <nlohmann/json.hpp>

#include "common/base/nearest.h"
#include "common/base/quote.h"
#include "common/config/job_file.h"
#include "common/domain/brought_files.h"
#include "common/domain/layers.h"
#include "common/domain/site_tensors.h"
#include "common/domain/update_encodings.h"
#include "common/runtime/log.h"
#include "common/runtime/system_clock.h"
#include "site-agent/service/agent_loop.h"
#include "site-agent/service/describe_site.h"

namespace entente::agent {
namespace {

using nlohmann::json;

// What people write into the record.
constexpr std::size_t kReasonBytesMax = 1000;

json to_json(const Refusal& refusal) {
  return {{"error", refusal.code}, {"message", refusal.message}, {"hint", refusal.hint}};
}

json to_json(const AgentCore::JobStanding& job) {
  const JobSpec& spec = job.promise->spec;
  return {{"job", job.promise->job.str()},
          {"coordinator", job.promise->coordinator},
          {"dataset", spec.train.dataset},
          {"rounds", spec.rounds},
          {"spec_digest", job.promise->spec_digest.hex()},
          {"accepted", job.accepted},
          {"awaits_approval", job.awaits_approval},
          {"waits", job.waits}};
}

// What people decide about: what would be computed here, and what would leave.
json proposal(const AgentCore::JobStanding& job) {
  json shown = to_json(job);
  const JobSpec& spec = job.promise->spec;
  shown["kind"] = to_string(spec.kind);
  shown["sites_min"] = spec.sites.min;
  if (spec.statistics) {
    shown["columns"] = spec.statistics->columns;
    shown["bins"] = spec.statistics->bins;
  }
  if (const auto model = model_of(spec); model && has_model(spec.kind)) {
    shown["parameters"] = model->layout.elements();
    if (spec.predict) {
      shown["rows"] = spec.predict->examples;
      shown["update_bytes"] = outputs_layout(spec).bytes();
      if (spec.predict->own) {
        shown["own"] = spec.predict->own->str();
      }
    }
    if (trains(spec.kind)) {
      shown["strategy"] = spec.strategy.kind;
      shown["encoding"] = spec.update.encoding;
      shown["update_bytes"] =
          encoded_layout(update_layout(spec, model->layout), spec.update).bytes();
      shown["stays_bytes"] = site_layout(spec, model->layout).bytes();
    }
  }
  return shown;
}

json pending_jobs(const AgentCore& core) {
  json list = json::array();
  for (const auto& job : core.jobs()) {
    if (job.awaits_approval) {
      list.push_back(proposal(job));
    }
  }
  return {{"jobs", std::move(list)}};
}

// One job of this site, whether it waits or not, with the file that it was submitted with.
Expected<json> one_job(const AgentCore& core, const std::string& name) {
  std::vector<std::string> known;
  for (const auto& job : core.jobs()) {
    if (job.promise->job.str() == name) {
      json shown = proposal(job);
      shown["file"] = job_file_text(job.promise->spec);
      return shown;
    }
    known.push_back(job.promise->job.str());
  }
  return refuse("job_unknown",
                fmt::format("no job {} waits or runs here{}", quote(name), suggestion(name, known)),
                "see the jobs of this site with: entente-agent status --config FILE", Scope::site);
}

json status(const AgentCore& core) {
  json list = json::array();
  for (const auto& job : core.jobs()) {
    list.push_back(to_json(job));
  }
  json result{{"connected", core.connected()},
              {"paused", core.pause().has_value()},
              {"running_tasks", core.running_tasks()},
              {"unsent_results", core.unsent_results()},
              {"jobs", std::move(list)}};
  if (const auto& pause = core.pause()) {
    result["pause"] = {
        {"who", pause->who}, {"reason", pause->reason}, {"since_unix_ms", pause->since_unix_ms}};
  }
  return result;
}

// The job that people decide about: one that waits for it; a denial may also take back what was
// agreed to.
Expected<Promise> job_to_decide(const AgentCore& core, const std::string& name, bool is_denial) {
  std::vector<std::string> known;
  for (const auto& job : core.jobs()) {
    if (!job.awaits_approval && !is_denial) {
      continue;
    }
    if (job.promise->job.str() == name) {
      return *job.promise;
    }
    known.push_back(job.promise->job.str());
  }
  return refuse("job_unknown",
                fmt::format("no job {} waits for approval{}{}", quote(name),
                            is_denial ? " or runs here" : "", suggestion(name, known)),
                "see the jobs of this site with: entente-agent status --config FILE", Scope::site);
}

std::string text_at(const json& request, const char* key) {
  const auto found = request.find(key);
  return found != request.end() && found->is_string() ? found->get<std::string>() : std::string();
}

// What an ask leads to: an event and what to say when it is done.
struct Plan {
  Event event;
  json answer;
};

Expected<Plan> plan_for(const AgentCore& core, const std::string& verb, const json& request,
                        const std::string& who, UnixMillis now) {
  const auto reason = text_at(request, "reason");
  if (reason.size() > kReasonBytesMax) {
    return refuse("reason_invalid", fmt::format("a reason may have {} bytes", kReasonBytesMax),
                  "say it in fewer words", Scope::site);
  }
  if (verb == "pause") {
    return Plan{event::Paused{{who, reason, now}}, {{"state", "paused"}}};
  }
  if (verb == "resume") {
    return Plan{event::Resumed{who}, {{"state", "at work"}}};
  }
  if (verb != "approve" && verb != "deny") {
    return refuse("request_unknown", fmt::format("the agent knows no request {}", quote(verb)),
                  "use programs of one version", Scope::site);
  }
  const auto job = job_to_decide(core, text_at(request, "job"), verb == "deny");
  if (!job) {
    return tl::unexpected(job.error());
  }
  const auto for_ms = request.value("for_ms", std::int64_t{0});
  const bool approved = verb == "approve";
  const Decision decision{job->job, job->spec_digest,           approved, who, reason,
                          now,      approved ? now + for_ms : 0};
  json answer{{"job", job->job.str()},
              {"state", approved ? "approved" : "denied"},
              {"spec_digest", job->spec_digest.hex()}};
  if (approved) {
    answer["until_unix_ms"] = decision.until_unix_ms;
  }
  return Plan{event::Decided{decision}, std::move(answer)};
}

}  // namespace

// Answered when the step is committed: what people were told is on the disk.
void AgentLoop::take(const LocalAsk& ask) {
  const auto request = json::parse(ask.request, nullptr, false);
  const auto verb = request.is_object() ? text_at(request, "verb") : std::string();
  const auto say = [&ask](const json& answer) {
    ask.answer->set_value(answer.dump(-1, ' ', false, json::error_handler_t::replace));
  };
  if (verb == "pending") {
    const auto job = text_at(request, "job");
    const auto answer = job.empty() ? Expected<json>(pending_jobs(core_)) : one_job(core_, job);
    return say(answer ? *answer : to_json(answer.error()));
  }
  if (verb == "status") {
    return say(status(core_));
  }
  auto plan = plan_for(core_, verb, request, ask.who, system_now().unix_ms);
  if (!plan) {
    return say(to_json(plan.error()));
  }
  decide(std::move(plan->event));
  say(plan->answer);
}

// Reads the file and the datasets' labels beside the loop, which goes on with what it has.
void AgentLoop::read_config_again() {
  parts_.disk.post([file = parts_.config_file, &inbox = inbox_] {
    const auto keep = [](const Refusal& why) {
      log::warning("config_kept", why.message, {{"hint", why.hint}});
    };
    try {
      auto config = read_agent_config(file);
      if (!config) {
        return keep(config.error());
      }
      auto advert = describe_site(*config);
      if (!advert) {
        return keep(advert.error());
      }
      (void)inbox.push(Reread{*std::move(config), *std::move(advert)});
    } catch (const std::exception& error) {
      keep({"config_invalid", error.what(), {}, Scope::site});
    }
  });
}

void AgentLoop::take(Reread reread) {
  auto& [config, advert] = reread;
  AgentConfig& now = parts_.config;
  if (config.kit != now.kit || config.data_dir != now.data_dir || config.broker != now.broker ||
      config.proxy != now.proxy || config.trainer_pool != now.trainer_pool) {
    log::warning("config_kept",
                 "kit, data_dir, broker, proxy and trainer_pool change at the next start");
  }
  now.site = std::move(config.site);
  now.trainer = std::move(config.trainer);
  now.datasets = std::move(config.datasets);
  now.policy = config.policy;
  decide(event::Reconfigured{std::move(advert), std::move(config.policy)});
}

}  // namespace entente::agent
