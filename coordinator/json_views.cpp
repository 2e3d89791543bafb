#include "coordinator/json_views.h"

#include <nlohmann/json.hpp>

#include "common/base/prose.h"

namespace entente::cli {
namespace {

nlohmann::json hex_or_null(const std::optional<BlobId>& blob) {
  return blob ? nlohmann::json(blob->hex()) : nlohmann::json(nullptr);
}

nlohmann::json to_json(const RoundView& round) {
  nlohmann::json json{{"round", round.round},
                      {"state", to_string(round.state)},
                      {"updates", round.updates},
                      {"train_metrics", round.train_metrics},
                      {"evaluate_metrics", round.evaluate_metrics},
                      {"model", hex_or_null(round.model)},
                      {"removed", round.removed},
                      {"evaluated_at", round.evaluated_at},
                      {"evaluation_examples", round.evaluation_examples}};
  if (!round.model_of.empty()) {
    json["model_of"] = round.model_of;
  }
  return json;
}

nlohmann::json to_json(const DatasetAdvert& dataset) {
  return {{"name", dataset.name},         {"kind", dataset.kind},
          {"examples", dataset.examples}, {"example_shape", dataset.example_shape},
          {"classes", dataset.classes},   {"class_names", dataset.class_names},
          {"targets", dataset.targets},   {"vocabulary", dataset.vocabulary},
          {"features", dataset.features}, {"tags", dataset.tags}};
}

}  // namespace

// Outside the unnamed namespace: from inside it the overloads of the header would be hidden.
template <class T>
static nlohmann::json list_to_json(const std::vector<T>& list) {
  auto json = nlohmann::json::array();
  for (const auto& one : list) {
    json.push_back(to_json(one));
  }
  return json;
}

nlohmann::json to_json(const JobSummary& job) {
  return {{"job", job.id.str()},
          {"kind", to_string(job.kind)},
          {"state", to_string(job.state)},
          {"coordinator", job.coordinator},
          {"round", job.round},
          {"rounds", job.rounds},
          {"submitted_unix_ms", job.submitted_unix_ms},
          {"reason", job.reason}};
}

nlohmann::json to_json(const JobSiteView& site) {
  nlohmann::json json{{"site", site.site.str()},
                      {"enrolment", to_string(site.enrolment)},
                      {"reason", site.reason},
                      {"connected", site.connected},
                      {"updates_accepted", site.updates_accepted},
                      {"bytes_out", site.bytes_out},
                      {"tensors_out", site.tensors_out},
                      {"examples", site.examples},
                      {"stands_by", site.stands_by},
                      {"sits_out", site.sits_out},
                      {"evaluate_metrics", site.evaluate_metrics},
                      {"evaluation_examples", site.evaluation_examples},
                      {"evaluated_round", site.evaluated_round},
                      {"task", nullptr}};
  if (site.task) {
    json["task"] = {{"kind", to_string(*site.task)},
                    {"state", to_string(site.task_state)},
                    {"done", site.progress.done},
                    {"total", site.progress.total},
                    {"unit", site.progress.unit}};
  }
  return json;
}

nlohmann::json to_json(const JobView& job) {
  auto json = to_json(job.summary);
  json["spec_digest"] = job.spec_digest.hex();
  json["dataset"] = job.spec.train.dataset;
  json["strategy"] = job.spec.strategy.kind;
  json["encoding"] = job.spec.update.encoding;
  json["async"] = nullptr;
  if (const auto& async = job.spec.async) {
    json["async"] = {{"buffer", async->buffer},
                     {"staleness_exponent", async->staleness_exponent},
                     {"staleness_max", async->staleness_max},
                     {"concurrency", async->concurrency}};
  }
  json["sites"] = list_to_json(job.sites);
  json["rounds_done"] = list_to_json(job.rounds);
  return json;
}

nlohmann::json to_json(const Explanation& explanation) {
  const auto names = [](const auto& ids) {
    auto list = nlohmann::json::array();
    for (const auto& id : ids) {
      list.push_back(id.str());
    }
    return list;
  };
  nlohmann::json json{{"job", nullptr},
                      {"state", to_string(explanation.state)},
                      {"sentence", explanation.sentence},
                      {"place", explanation.place},
                      {"ahead", names(explanation.ahead)},
                      {"reserved", names(explanation.reserved)},
                      {"changes", explanation.changes},
                      {"sites", nlohmann::json::array()},
                      {"sites_left_out", explanation.sites_left_out}};
  if (explanation.job) {
    json["job"] = explanation.job->str();
  }
  for (const auto& site : explanation.sites) {
    json["sites"].push_back({{"site", site.site.str()},
                             {"standing", to_string(site.standing)},
                             {"sentences", site.sentences}});
  }
  return json;
}

nlohmann::json to_json(const JobEvent& event) {
  return {{"seq", event.seq},         {"unix_ms", event.unix_ms},   {"kind", to_string(event.kind)},
          {"round", event.round},     {"site", event.site},         {"text", event.text},
          {"metrics", event.metrics}, {"examples", event.examples}, {"bytes", event.bytes}};
}

nlohmann::json to_json(const SiteView& site) {
  nlohmann::json json{{"site", site.site.str()},
                      {"connected", site.connected},
                      {"last_seen_unix_ms", site.last_seen_unix_ms},
                      {"draining", site.draining},
                      {"drain_reason", site.drain_reason},
                      {"open_tasks", site.open_tasks},
                      {"version", site.advert.version},
                      {"slots", site.advert.slots},
                      {"threads_per_slot", site.advert.threads_per_slot},
                      {"cores", site.advert.resources.cores},
                      {"memory_bytes", site.advert.resources.memory_bytes},
                      {"gpus", site.advert.resources.gpus},
                      {"jurisdiction", site.advert.jurisdiction},
                      {"labels", site.advert.labels},
                      {"policy", site.advert.policy},
                      {"paused", site.advert.paused},
                      {"pause_reason", site.advert.pause_reason},
                      {"datasets", nlohmann::json::array()},
                      {"jobs", nlohmann::json::array()}};
  for (const auto& dataset : site.advert.datasets) {
    json["datasets"].push_back(to_json(dataset));
  }
  for (const auto& job : site.jobs) {
    json["jobs"].push_back(job.str());
  }
  return json;
}

Round staleness(const ModelView& model, const Contribution& part) {
  const bool is_late = model.strategy != "single" && model.version > part.started_from;
  return is_late ? model.version - 1 - part.started_from : 0;
}

nlohmann::json to_json(const ModelView& model) {
  nlohmann::json json{{"model", model.job.str()},
                      {"version", model.version},
                      {"blob", model.blob.hex()},
                      {"bytes", model.bytes},
                      {"published_unix_ms", model.published_unix_ms},
                      {"spec_digest", model.spec_digest.hex()},
                      {"strategy", model.strategy},
                      {"parent", hex_or_null(model.parent)},
                      {"server_state", hex_or_null(model.server_state)},
                      {"origin", model.origin},
                      {"evaluate_metrics", model.evaluate_metrics},
                      {"removed", model.removed},
                      {"contributions", nlohmann::json::array()}};
  for (const auto& part : model.contributions) {
    json["contributions"].push_back({{"site", part.site.str()},
                                     {"update", part.update.hex()},
                                     {"examples", part.examples},
                                     {"weight", part.weight},
                                     {"steps", part.steps},
                                     {"started_from", part.started_from},
                                     {"staleness", staleness(model, part)}});
  }
  return json;
}

nlohmann::json to_json(const std::vector<JobSummary>& jobs) { return list_to_json(jobs); }
nlohmann::json to_json(const std::vector<SiteView>& sites) { return list_to_json(sites); }
nlohmann::json to_json(const AuditEntry& entry) {
  return {{"seq", entry.seq},
          {"unix_ms", entry.unix_ms},
          {"actor", prose(entry.actor)},
          {"action", prose(entry.action)},
          {"object", prose(entry.object)},
          {"detail", prose(entry.detail)},
          {"hash", entry.hash.hex()}};
}

nlohmann::json to_json(const std::vector<ModelView>& models) { return list_to_json(models); }

nlohmann::json to_json(const std::vector<AuditEntry>& entries) { return list_to_json(entries); }

}  // namespace entente::cli
