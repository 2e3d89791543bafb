#include "site-agent/service/local_commands.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <iterator>
#include <nlohmann/json.hpp>

#include "common/domain/layers.h"
#include "common/runtime/system_clock.h"
#include "site-agent/data/dataset.h"
#include "site-agent/data/source_kinds.h"
#include "site-agent/journal/ledger.h"

namespace entente::agent {
namespace {

using nlohmann::json;

std::string what_is_learnt(const Schema& schema) {
  return schema.targets == 0 ? fmt::format("{} classes", schema.classes)
                             : fmt::format("{} to predict", schema.targets);
}

void append_dataset(std::string& text, const DatasetConfig& config, const Expected<Dataset>& data) {
  auto out = std::back_inserter(text);
  if (!data) {
    const auto& [code, message, hint, scope] = data.error();
    fmt::format_to(out, "{}: not usable: {}\n", config.name, message);
    if (!hint.empty()) {
      fmt::format_to(out, "  hint: {}\n", hint);
    }
    return;
  }
  fmt::format_to(out, "{}: {} examples of shape {}, {}\n", config.name, data->size(),
                 entente::to_string(data->shape), what_is_learnt(*data));
  const auto counts = data->class_counts();
  for (std::size_t label = 0; label < counts.size(); ++label) {
    const double share = data->size() == 0 ? 0.0
                                           : 100.0 * static_cast<double>(counts[label]) /
                                                 static_cast<double>(data->size());
    fmt::format_to(out, "  class {:>4}  {:>10}  {:>5.1f} %{}\n", label, counts[label], share,
                   config.class_names.empty() ? "" : "  " + config.class_names.at(label));
  }
}

json dataset_json(const DatasetConfig& config, const Expected<Dataset>& data) {
  if (!data) {
    return {{"name", config.name},
            {"error", {{"code", data.error().code}, {"message", data.error().message}}}};
  }
  return {{"name", config.name},
          {"kind", kind_of(config.source)},
          {"examples", data->size()},
          {"shape", data->shape},
          {"classes", data->classes},
          {"class_counts", data->class_counts()},
          {"targets", data->targets},
          {"vocabulary", data->vocabulary},
          {"features", data->feature_names}};
}

json sent_json(const SentRow& row) {
  return {{"time", format_utc(row.unix_ms)},
          {"unix_ms", row.unix_ms},
          {"job", row.job},
          {"coordinator", row.coordinator},
          {"round", row.round},
          {"kind", row.kind},
          {"attempt", row.attempt},
          {"state", row.state},
          {"blob", row.blob},
          {"bytes", row.blob_bytes},
          {"examples", row.examples},
          {"metrics", json::parse(row.metrics_json, nullptr, false)},
          {"sums", json::parse(row.sums_json, nullptr, false)}};
}

std::string metrics_text(const std::string& metrics_json) {
  const json metrics = json::parse(metrics_json, nullptr, false);
  std::vector<std::string> parts;
  for (const auto& [name, value] : metrics.items()) {
    if (value.is_number()) {
      parts.push_back(fmt::format("{} {:.4g}", name, value.get<double>()));
    }
  }
  return fmt::format("{}", fmt::join(parts, ", "));
}

// Which counts have left, and how many numbers of each; all of them are in `--json`.
std::string sums_text(const std::string& sums_json) {
  const json sums = json::parse(sums_json, nullptr, false);
  std::vector<std::string> parts;
  for (const auto& [name, values] : sums.items()) {
    parts.push_back(fmt::format("{} ({})", name, values.size()));
  }
  return parts.empty() ? "" : fmt::format("; sums: {}", fmt::join(parts, ", "));
}

}  // namespace

DatasetsShown show_datasets(const AgentConfig& config, bool as_json) {
  DatasetsShown shown;
  json list = json::array();
  for (const DatasetConfig& dataset : config.datasets) {
    const auto data = load_dataset(dataset);
    shown.all_readable = shown.all_readable && data.has_value();
    if (as_json) {
      list.push_back(dataset_json(dataset, data));
    } else {
      append_dataset(shown.text, dataset, data);
    }
  }
  if (as_json) {
    shown.text = list.dump(2) + "\n";
  } else if (config.datasets.empty()) {
    shown.text = "agent.toml names no dataset\n";
  }
  return shown;
}

Expected<std::string> show_sent(const AgentConfig& config, bool as_json) {
  const auto rows = read_ledger(config.journal_file());
  if (!rows) {
    return tl::unexpected(rows.error());
  }
  if (as_json) {
    json list = json::array();
    for (const SentRow& row : *rows) {
      list.push_back(sent_json(row));
    }
    return list.dump(2) + "\n";
  }
  if (rows->empty()) {
    return std::string("nothing has left the house\n");
  }
  std::string text =
      fmt::format("{:<20}  {:<24} {:>5}  {:<10} {:<9} {:>12} {:>9}  {:<12}  {}\n", "time", "job",
                  "round", "kind", "state", "bytes", "examples", "blob", "metrics");
  for (const SentRow& row : *rows) {
    text += fmt::format("{:<20}  {:<24} {:>5}  {:<10} {:<9} {:>12} {:>9}  {:<12}  {}\n",
                        format_utc(row.unix_ms), row.job, row.round, row.kind, row.state,
                        row.blob_bytes, row.examples, row.blob.substr(0, 12),
                        metrics_text(row.metrics_json) + sums_text(row.sums_json));
  }
  return text;
}

}  // namespace entente::agent
