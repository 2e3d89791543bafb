// A JobSpec as the text of a job file: what job_file.cpp reads, written down.
#include <fmt/format.h>
#include <toml++/toml.h>

#include <charconv>
#include <sstream>
#include <utility>

#include "common/config/job_file.h"

namespace entente {
namespace {

std::string duration_text(Millis duration) {
  return duration.count() % 1000 == 0 ? std::to_string(duration.count() / 1000) + "s"
                                      : std::to_string(duration.count()) + "ms";
}

template <class Id>
toml::array names(const std::vector<Id>& ids) {
  toml::array list;
  for (const auto& id : ids) {
    list.push_back(id.str());
  }
  return list;
}

toml::table sample_table(const SampleSpec& sample) {
  toml::table table{{"by", std::string(to_string(sample.by))},
                    {"over", sample.over},
                    {"separation", sample.separation}};
  if (sample.count != 0) {
    table.insert("count", sample.count);
  } else {
    table.insert("fraction", sample.fraction);
  }
  return table;
}

toml::table sites_table(const SiteSelection& sites) {
  toml::table table{{"min", sites.min},
                    {"max", sites.max},
                    {"quorum", sites.quorum},
                    {"mandatory", names(sites.mandatory)},
                    {"exclude", names(sites.exclude)},
                    {"replace", sites.replace},
                    {"samples_min", static_cast<std::int64_t>(sites.samples_min)}};
  if (!sites.require.empty()) {
    table.insert("require", sites.require);
  }
  if (!sites.prefer.empty()) {
    table.insert("prefer", sites.prefer);
  }
  if (sites.sample) {
    table.insert("sample", sample_table(*sites.sample));
  }
  return table;
}

toml::table needs_table(const TaskNeeds& needs) {
  return toml::table{{"memory", std::to_string(needs.memory_bytes) + "B"},
                     {"threads", needs.threads},
                     {"gpus", needs.gpus}};
}

void insert_attributes(const Attributes& attributes, toml::table& table) {
  for (const auto& [name, attribute] : attributes) {
    std::visit([&table, &key = name](const auto& value) { table.insert(key, value); }, attribute);
  }
}

template <class Values>
toml::array list_of(const Values& values) {
  toml::array list;
  for (const auto& value : values) {
    list.push_back(value);
  }
  return list;
}

toml::array layers_array(const std::vector<LayerSpec>& layers) {
  toml::array array;
  for (const auto& layer : layers) {
    toml::table table{{"type", layer.kind}};
    if (!layer.name.empty()) {
      table.insert("name", layer.name);
    }
    insert_attributes(layer.attributes, table);
    if (!layer.layers.empty()) {
      table.insert("layers", layers_array(layer.layers));
    }
    if (!layer.shortcut.empty()) {
      table.insert("shortcut", layers_array(layer.shortcut));
    }
    array.push_back(std::move(table));
  }
  return array;
}

toml::table model_table(const ModelSpec& model) {
  return toml::table{{"input", list_of(model.input)}, {"layers", layers_array(model.layers)}};
}

toml::table augment_table(const AugmentSpec& augment) {
  toml::table table{{"crop", augment.crop}, {"shift", augment.shift}};
  if (augment.flip_horizontal || augment.flip_vertical) {
    table.insert("flip", !augment.flip_vertical     ? "horizontal"
                         : !augment.flip_horizontal ? "vertical"
                                                    : "both");
  }
  return table;
}

toml::table normalise_table(const Normalisation& normalise) {
  toml::table table;
  if (normalise.from) {
    table.insert("from", statistics_job_text(*normalise.from));
  }
  toml::array columns;
  for (const auto& scale : normalise.columns) {
    columns.push_back(
        toml::table{{"name", scale.column}, {"mean", scale.mean}, {"deviation", scale.deviation}});
  }
  table.insert("columns", std::move(columns));
  return table;
}

toml::table statistics_table(const JobSpec& spec) {
  const auto& statistics = *spec.statistics;
  return toml::table{{"dataset", spec.train.dataset},
                     {"columns", list_of(statistics.columns)},
                     {"bins", statistics.bins},
                     {"quantiles", list_of(statistics.quantiles)}};
}

toml::table train_table(const TrainSpec& train) {
  const auto& optimizer = train.optimizer;
  toml::table optimizer_table{{"type", optimizer.kind},
                              {"lr", optimizer.lr},
                              {"momentum", optimizer.momentum},
                              {"weight_decay", optimizer.weight_decay}};
  insert_attributes(optimizer.options, optimizer_table);
  toml::table schedule_table{{"type", train.schedule.kind}};
  insert_attributes(train.schedule.options, schedule_table);
  toml::table table{{"dataset", train.dataset},
                    {"local_epochs", train.local_epochs},
                    {"batch_size", train.batch_size},
                    {"loss", std::string(to_string(train.loss))},
                    {"class_weights", list_of(train.class_weights)},
                    {"clip_norm", train.clip_norm},
                    {"clip_value", train.clip_value},
                    {"freeze", list_of(train.freeze)},
                    {"prox_mu", train.prox_mu},
                    {"exclude", list_of(train.exclude)},
                    {"private", list_of(train.private_tensors)},
                    {"private_epochs", train.private_epochs},
                    {"optimizer", std::move(optimizer_table)},
                    {"schedule", std::move(schedule_table)}};
  if (train.personal) {
    table.insert("personal", toml::table{{"lambda", train.personal->lambda},
                                         {"local_epochs", train.personal->local_epochs}});
  }
  if (train.balanced) {
    table.insert("local_steps", "balanced");
  }
  if (train.augment != AugmentSpec()) {
    table.insert("augment", augment_table(train.augment));
  }
  if (!train.trainer.empty()) {
    table.insert("trainer", train.trainer);
  }
  if (train.normalise) {
    table.insert("normalise", normalise_table(*train.normalise));
  }
  return table;
}

toml::table strategy_table(const StrategySpec& strategy) {
  toml::table table{{"kind", strategy.kind}};
  if (strategy.weights == Weighting::given) {
    toml::table weights;
    for (const auto& [site, weight] : strategy.site_weights) {
      weights.insert(site.str(), weight);
    }
    table.insert("weights", std::move(weights));
  } else {
    table.insert("weights", std::string(to_string(strategy.weights)));
  }
  for (const auto& [name, value] : strategy.parameters) {
    table.insert(name, value);
  }
  return table;
}

toml::table update_table(const UpdateSpec& update) {
  toml::table table{{"encoding", update.encoding}};
  if (update.fraction) {
    table.insert("fraction", *update.fraction);
  }
  return table;
}

toml::table evaluate_table(const JobSpec& spec) {
  const auto& evaluate = *spec.evaluate;
  if (trains(spec.kind)) {
    return toml::table{
        {"dataset", evaluate.dataset}, {"every", evaluate.every}, {"personal", evaluate.personal}};
  }
  toml::table table{{"dataset", evaluate.dataset},
                    {"loss", std::string(to_string(spec.train.loss))},
                    {"class_weights", list_of(spec.train.class_weights)}};
  if (spec.train.normalise) {
    table.insert("normalise", normalise_table(*spec.train.normalise));
  }
  if (!spec.train.trainer.empty()) {
    table.insert("trainer", spec.train.trainer);
  }
  return table;
}

toml::table predict_table(const JobSpec& spec) {
  const auto& predict = *spec.predict;
  toml::table table{{"inputs", "file:" + predict.inputs.hex()},
                    {"dataset", spec.train.dataset},
                    {"loss", std::string(to_string(spec.train.loss))}};
  if (predict.own) {
    table.insert("own", predict.own->str());
  }
  if (!spec.train.trainer.empty()) {
    table.insert("trainer", spec.train.trainer);
  }
  return table;
}

// What a job does, in the tables that its kind has.
void insert_work(const JobSpec& spec, toml::table& root) {
  const auto& parts = parts_of(spec.kind);
  if (spec.kind != JobKind::train) {
    root.insert("kind", std::string(to_string(spec.kind)));
  }
  if (has_model(spec.kind)) {
    root.insert("model", model_table(spec.model));
  }
  if (trains(spec.kind)) {
    root.insert("train", train_table(spec.train));
  }
  if (parts.strategy != Need::absent) {
    root.insert("strategy", strategy_table(spec.strategy));
  }
  if (parts.update != Need::absent) {
    root.insert("update", update_table(spec.update));
  }
  if (spec.async) {
    root.insert("async", toml::table{{"buffer", spec.async->buffer},
                                     {"staleness_exponent", spec.async->staleness_exponent},
                                     {"staleness_max", spec.async->staleness_max},
                                     {"concurrency", spec.async->concurrency}});
  }
  if (spec.evaluate) {
    root.insert("evaluate", evaluate_table(spec));
  }
  if (spec.statistics) {
    root.insert("statistics", statistics_table(spec));
  }
  if (spec.predict) {
    root.insert("predict", predict_table(spec));
  }
}

// As short as it reads back the same: toml++ writes 0.05 as 0.050000000000000003.
std::string shortest(const std::string& line) {
  const auto equals = line.find(" = ");
  if (equals == std::string::npos) {
    return line;
  }
  const auto value = line.find_first_not_of(' ', equals + 2);
  double number = 0;
  const auto* end = line.data() + line.size();
  const auto [rest, error] = std::from_chars(line.data() + value, end, number);
  const bool is_real = line.find_first_of(".e", value) != std::string::npos;
  if (error != std::errc() || rest != end || !is_real) {
    return line;
  }
  const auto text = fmt::format("{}", number);
  return line.substr(0, value) + text + (text.find_first_of(".e") == std::string::npos ? ".0" : "");
}

// The quotes that `line` leaves open; those that are `open` already unless it closes them.
std::string_view quotes_after(std::string_view line, std::string_view open) {
  if (!open.empty()) {
    return line.find(open) == std::string_view::npos ? open : std::string_view();
  }
  const auto equals = line.find(" = ");
  for (const std::string_view quotes : {"'''", "\"\"\""}) {
    const auto value =
        equals == std::string_view::npos ? std::string_view() : line.substr(equals + 3);
    if (value.starts_with(quotes) && value.find(quotes, quotes.size()) == std::string_view::npos) {
      return quotes;
    }
  }
  return {};
}

// Every real number, but for what is inside a string of several lines.
std::string with_shortest_numbers(std::istringstream text) {
  std::string result;
  std::string_view open;
  for (std::string line; std::getline(text, line);) {
    result += (open.empty() ? shortest(line) : line) + "\n";
    open = quotes_after(line, open);
  }
  return result;
}

}  // namespace

std::string model_text(const ModelSpec& model) {
  std::ostringstream text;
  text << toml::table{{"model", model_table(model)}} << '\n';
  return text.str();
}

std::string job_file_text(const JobSpec& spec) {
  toml::table root{{"name", spec.name},
                   {"rounds", spec.rounds},
                   {"deadline", duration_text(spec.deadline)},
                   {"stall_window", duration_text(spec.stall_window)},
                   {"priority", spec.priority},
                   {"sites", sites_table(spec.sites)},
                   {"resources", needs_table(spec.resources)}};
  insert_work(spec, root);
  if (spec.seed) {
    root.insert("seed", static_cast<std::int64_t>(*spec.seed));
  }
  if (spec.stop) {
    root.insert("stop", toml::table{{"metric", spec.stop->metric},
                                    {"patience", spec.stop->patience},
                                    {"min_delta", spec.stop->min_delta}});
  }
  if (spec.keep != Keep::all) {
    root.insert("keep", std::string(to_string(spec.keep)));
  }
  if (spec.preemptible) {
    root.insert("preemptible", true);
  }
  if (!spec.after.empty()) {
    root.insert("after", names(spec.after));
  }
  if (spec.init) {
    root.insert("init", to_string(*spec.init));
  }
  std::ostringstream text;
  text << root << '\n';
  return with_shortest_numbers(std::istringstream(text.str()));
}

}  // namespace entente
