#include "site-agent/contract/job_json.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>

#include "common/base/limits.h"

namespace entente::agent::contract {
namespace {

using nlohmann::json;

constexpr std::size_t kWordBytesMax = 256;
constexpr std::size_t kPathBytesMax = 4096;
constexpr std::size_t kAttributesMax = 64;

void add_attributes(const Attributes& attributes, json& object) {
  for (const auto& [key, attribute] : attributes) {
    std::visit([&object, &key = key](const auto& value) { object[key] = value; }, attribute);
  }
}

json layers_to_json(const std::vector<LayerSpec>& layers) {
  json array = json::array();
  for (const auto& layer : layers) {
    json object{{"type", layer.kind}, {"name", layer.name}};
    add_attributes(layer.attributes, object);
    if (!layer.layers.empty()) {
      object["layers"] = layers_to_json(layer.layers);
    }
    if (!layer.shortcut.empty()) {
      object["shortcut"] = layers_to_json(layer.shortcut);
    }
    array.push_back(std::move(object));
  }
  return array;
}

json model_to_json(const ModelSpec& model) {
  return {{"input", model.input}, {"layers", layers_to_json(model.layers)}};
}

// What a job leaves to its default is not written: a trainer of a site's own that does not know a
// key refuses the jobs that make use of it, and no others.
json train_to_json(const TrainSpec& train) {
  json object{{"dataset", train.dataset},
              {"local_epochs", train.local_epochs},
              {"batch_size", train.batch_size},
              {"loss", to_string(train.loss)},
              {"optimizer",
               {{"type", train.optimizer.kind},
                {"lr", train.optimizer.lr},
                {"momentum", train.optimizer.momentum},
                {"weight_decay", train.optimizer.weight_decay}}}};
  add_attributes(train.optimizer.options, object["optimizer"]);
  if (!train.class_weights.empty()) {
    object["class_weights"] = train.class_weights;
  }
  if (train.schedule != ScheduleSpec()) {
    object["schedule"] = {{"type", train.schedule.kind}};
    add_attributes(train.schedule.options, object["schedule"]);
  }
  if (train.clip_norm != 0) {
    object["clip_norm"] = train.clip_norm;
  }
  if (train.clip_value != 0) {
    object["clip_value"] = train.clip_value;
  }
  if (!train.freeze.empty()) {
    object["freeze"] = train.freeze;
  }
  if (train.augment != AugmentSpec()) {
    object["augment"] = {{"flip_horizontal", train.augment.flip_horizontal},
                         {"flip_vertical", train.augment.flip_vertical},
                         {"crop", train.augment.crop},
                         {"shift", train.augment.shift}};
  }
  if (train.normalise) {
    auto& columns = object["normalise"] = json::array();
    for (const auto& scale : train.normalise->columns) {
      columns.push_back(
          {{"column", scale.column}, {"mean", scale.mean}, {"deviation", scale.deviation}});
    }
  }
  if (train.prox_mu != 0) {
    object["prox_mu"] = train.prox_mu;
  }
  if (!train.exclude.empty()) {
    object["exclude"] = train.exclude;
  }
  if (!train.private_tensors.empty()) {
    object["private"] = train.private_tensors;
  }
  if (train.private_epochs != 0) {
    object["private_epochs"] = train.private_epochs;
  }
  if (train.personal) {
    object["personal"] = {{"lambda", train.personal->lambda},
                          {"local_epochs", train.personal->local_epochs}};
  }
  return object;
}

// Nothing for anything but a boolean, a number or a string.
std::optional<Attribute> attribute_from_json(const json& value) {
  if (value.is_boolean()) {
    return value.get<bool>();
  }
  if (value.is_number_unsigned() && value.get<std::uint64_t>() > INT64_MAX) {
    return std::nullopt;
  }
  if (value.is_number_integer()) {
    return value.get<std::int64_t>();
  }
  if (value.is_number_float() && std::isfinite(value.get<double>())) {
    return value.get<double>();
  }
  if (value.is_string() && value.get_ref<const std::string&>().size() <= kWordBytesMax) {
    return value.get<std::string>();
  }
  return std::nullopt;
}

// All keys that are left.
Attributes attributes_from_json(JsonFields& fields, Fault& fault) {
  Attributes attributes;
  const auto keys = fields.rest();
  if (keys.size() > kAttributesMax) {
    fault.set(fmt::format("{} has more than {} attributes", fields.path(), kAttributesMax));
    return attributes;
  }
  for (const auto& key : keys) {
    auto attribute = attribute_from_json(fields.any(key));
    if (!attribute || key.size() > kWordBytesMax) {
      fault.set(
          fmt::format("{} must be a boolean, a number or a short string", fields.path_of(key)));
      return attributes;
    }
    attributes.emplace(key, std::move(*attribute));
  }
  return attributes;
}

std::vector<LayerSpec> layers_from_json(JsonFields& fields, const char* key, std::size_t depth,
                                        Fault& fault) {
  std::vector<LayerSpec> layers;
  if (depth > limits::kLayerDepthMax) {
    fault.set(
        fmt::format("{} is nested more than {} deep", fields.path_of(key), limits::kLayerDepthMax));
    return layers;
  }
  const json& array = fields.array(key, limits::kLayersMax);
  for (std::size_t i = 0; i < array.size() && !fault.first(); ++i) {
    JsonFields layer(array[i], fmt::format("{}[{}]", fields.path_of(key), i), fault);
    LayerSpec spec;
    spec.kind = layer.text("type", kWordBytesMax);
    spec.name = layer.text("name", kWordBytesMax);
    if (layer.has("layers")) {
      spec.layers = layers_from_json(layer, "layers", depth + 1, fault);
    }
    if (layer.has("shortcut")) {
      spec.shortcut = layers_from_json(layer, "shortcut", depth + 1, fault);
    }
    spec.attributes = attributes_from_json(layer, fault);
    layers.push_back(std::move(spec));
  }
  return layers;
}

ModelSpec model_from_json(JsonFields fields, Fault& fault) {
  ModelSpec model;
  for (const json& dimension : fields.array("input", limits::kTensorDimensionsMax)) {
    if (!dimension.is_number_unsigned() || dimension.get<std::uint64_t>() > INT32_MAX) {
      fault.set(fmt::format("{} must hold whole numbers", fields.path_of("input")));
      break;
    }
    model.input.push_back(dimension.get<std::int64_t>());
  }
  model.layers = layers_from_json(fields, "layers", 0, fault);
  fields.finish();
  return model;
}

OptimizerSpec optimizer_from_json(JsonFields fields, Fault& fault) {
  OptimizerSpec optimizer;
  optimizer.kind = fields.text("type", kWordBytesMax);
  optimizer.lr = fields.number("lr");
  optimizer.momentum = fields.number("momentum");
  optimizer.weight_decay = fields.number("weight_decay");
  optimizer.options = attributes_from_json(fields, fault);
  return optimizer;
}

ScheduleSpec schedule_from_json(JsonFields fields, Fault& fault) {
  ScheduleSpec schedule;
  schedule.kind = fields.text("type", kWordBytesMax);
  schedule.options = attributes_from_json(fields, fault);
  return schedule;
}

std::vector<Scale> scales_from_json(JsonFields& fields, Fault& fault) {
  std::vector<Scale> scales;
  const json& array = fields.array("normalise", limits::kStatisticsColumnsMax);
  for (std::size_t i = 0; i < array.size() && !fault.first(); ++i) {
    JsonFields column(array[i], fmt::format("{}[{}]", fields.path_of("normalise"), i), fault);
    Scale scale;
    scale.column = column.text("column", kWordBytesMax);
    scale.mean = column.number("mean");
    scale.deviation = column.number("deviation");
    if (!(scale.deviation > 0)) {
      fault.set(fmt::format("{} must be above 0", column.path_of("deviation")));
    }
    column.finish();
    scales.push_back(std::move(scale));
  }
  return scales;
}

std::vector<std::string> texts_from_json(JsonFields& fields, const char* key, std::size_t size_max,
                                         Fault& fault) {
  std::vector<std::string> texts;
  for (const json& text : fields.array(key, size_max)) {
    if (!text.is_string() || text.get_ref<const std::string&>().size() > kWordBytesMax) {
      fault.set(fmt::format("{} must hold short strings", fields.path_of(key)));
      break;
    }
    texts.push_back(text.get<std::string>());
  }
  return texts;
}

// Empty when the key is not there.
std::vector<std::string> patterns_from_json(JsonFields& fields, const char* key, Fault& fault) {
  return fields.has(key) ? texts_from_json(fields, key, limits::kFreezePatternsMax, fault)
                         : std::vector<std::string>();
}

// A job that counts: {"statistics": {"dataset": ..., "columns": [...], "bins": ...}}.
JobSpec counting_from_json(JsonFields fields, Fault& fault) {
  JobSpec spec;
  spec.kind = JobKind::statistics;
  spec.train.dataset = fields.text("dataset", kWordBytesMax);
  auto& statistics = spec.statistics.emplace();
  statistics.columns = texts_from_json(fields, "columns", limits::kStatisticsColumnsMax, fault);
  statistics.bins = static_cast<std::uint32_t>(fields.natural("bins", limits::kStatisticsBinsMax));
  fields.finish();
  return spec;
}

AugmentSpec augment_from_json(JsonFields fields) {
  AugmentSpec augment;
  augment.flip_horizontal = fields.boolean("flip_horizontal");
  augment.flip_vertical = fields.boolean("flip_vertical");
  augment.crop = fields.number("crop");
  augment.shift = fields.natural32("shift");
  fields.finish();
  return augment;
}

// 0 when the key is not there.
std::uint32_t epochs_from_json(JsonFields& fields, const char* key) {
  return fields.has(key) ? static_cast<std::uint32_t>(fields.natural(key, limits::kLocalEpochsMax))
                         : 0;
}

PersonalSpec personal_from_json(JsonFields fields) {
  PersonalSpec personal;
  personal.lambda = fields.number("lambda");
  personal.local_epochs = epochs_from_json(fields, "local_epochs");
  fields.finish();
  return personal;
}

TrainSpec train_from_json(JsonFields fields, Fault& fault) {
  TrainSpec train;
  train.dataset = fields.text("dataset", kWordBytesMax);
  train.local_epochs =
      static_cast<std::uint32_t>(fields.natural("local_epochs", limits::kLocalEpochsMax));
  train.batch_size =
      static_cast<std::uint32_t>(fields.natural("batch_size", limits::kBatchSizeMax));
  if (train.local_epochs == 0 || train.batch_size == 0) {
    fault.set(fmt::format("{} and {} must be at least 1", fields.path_of("local_epochs"),
                          fields.path_of("batch_size")));
  }
  const auto loss = parse_loss(fields.text("loss", kWordBytesMax));
  if (!loss) {
    fault.set(
        fmt::format("{} must be one of {}", fields.path_of("loss"), fmt::join(loss_names(), ", ")));
  }
  train.loss = loss.value_or(Loss::cross_entropy);
  train.optimizer = optimizer_from_json(fields.object("optimizer"), fault);
  if (fields.has("class_weights")) {
    train.class_weights = fields.numbers("class_weights", limits::kClassWeightsMax);
  }
  if (fields.has("schedule")) {
    train.schedule = schedule_from_json(fields.object("schedule"), fault);
  }
  train.clip_norm = fields.has("clip_norm") ? fields.number("clip_norm") : 0;
  train.clip_value = fields.has("clip_value") ? fields.number("clip_value") : 0;
  train.freeze = patterns_from_json(fields, "freeze", fault);
  train.exclude = patterns_from_json(fields, "exclude", fault);
  train.private_tensors = patterns_from_json(fields, "private", fault);
  train.private_epochs = epochs_from_json(fields, "private_epochs");
  train.prox_mu = fields.has("prox_mu") ? fields.number("prox_mu") : 0;
  if (fields.has("personal")) {
    train.personal = personal_from_json(fields.object("personal"));
  }
  if (fields.has("normalise")) {
    train.normalise = Normalisation{std::nullopt, scales_from_json(fields, fault)};
  }
  if (fields.has("augment")) {
    train.augment = augment_from_json(fields.object("augment"));
  }
  fields.finish();
  return train;
}

}  // namespace

json job_to_json(const JobSpec& spec) {
  if (spec.statistics) {
    return {{"statistics",
             {{"dataset", spec.train.dataset},
              {"columns", spec.statistics->columns},
              {"bins", spec.statistics->bins}}}};
  }
  json job{{"model", model_to_json(spec.model)}, {"train", train_to_json(spec.train)}};
  if (spec.evaluate) {
    job["evaluate"] = {{"dataset", spec.evaluate->dataset}};
    if (spec.evaluate->personal) {
      job["evaluate"]["personal"] = true;
    }
  }
  return job;
}

JobSpec job_from_json(JsonFields& job, Fault& fault) {
  if (job.has("statistics")) {
    JobSpec spec = counting_from_json(job.object("statistics"), fault);
    job.finish();
    return spec;
  }
  JobSpec spec;
  spec.model = model_from_json(job.object("model"), fault);
  spec.train = train_from_json(job.object("train"), fault);
  if (job.has("evaluate")) {
    JsonFields evaluate = job.object("evaluate");
    spec.evaluate.emplace().dataset = evaluate.text("dataset", kWordBytesMax);
    spec.evaluate->personal = evaluate.has("personal") && evaluate.boolean("personal");
    evaluate.finish();
  }
  job.finish();
  return spec;
}

}  // namespace entente::agent::contract
