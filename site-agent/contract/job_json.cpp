#include "site-agent/contract/job_json.h"

#include <fmt/format.h>

#include <cmath>

#include "common/base/limits.h"

namespace entente::agent::contract {
namespace {

using nlohmann::json;

constexpr std::size_t kWordBytesMax = 256;
constexpr std::size_t kPathBytesMax = 4096;
constexpr std::size_t kAttributesMax = 64;
constexpr const char* kCrossEntropy = "cross_entropy";

json model_to_json(const ModelSpec& model) {
  json layers = json::array();
  for (const auto& layer : model.layers) {
    json object{{"type", layer.kind}, {"name", layer.name}};
    for (const auto& [key, attribute] : layer.attributes) {
      std::visit([&object, &key = key](const auto& value) { object[key] = value; }, attribute);
    }
    layers.push_back(std::move(object));
  }
  return {{"input", model.input}, {"layers", std::move(layers)}};
}

std::string_view to_string(Loss loss) {
  switch (loss) {
    case Loss::cross_entropy:
      return kCrossEntropy;
  }
  return {};
}

json train_to_json(const TrainSpec& train) {
  return {{"dataset", train.dataset},
          {"local_epochs", train.local_epochs},
          {"batch_size", train.batch_size},
          {"loss", to_string(train.loss)},
          {"optimizer",
           {{"type", train.optimizer.kind},
            {"lr", train.optimizer.lr},
            {"momentum", train.optimizer.momentum},
            {"weight_decay", train.optimizer.weight_decay}}}};
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

LayerSpec layer_from_json(JsonFields fields, Fault& fault) {
  LayerSpec layer;
  layer.kind = fields.text("type", kWordBytesMax);
  layer.name = fields.text("name", kWordBytesMax);
  const auto keys = fields.rest();
  if (keys.size() > kAttributesMax) {
    fault.set(fmt::format("a layer has more than {} attributes", kAttributesMax));
    return layer;
  }
  for (const auto& key : keys) {
    auto attribute = attribute_from_json(fields.any(key));
    if (!attribute || key.size() > kWordBytesMax) {
      fault.set(
          fmt::format("{} must be a boolean, a number or a short string", fields.path_of(key)));
      return layer;
    }
    layer.attributes.emplace(key, std::move(*attribute));
  }
  return layer;
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
  const json& layers = fields.array("layers", limits::kLayersMax);
  for (std::size_t i = 0; i < layers.size() && !fault.first(); ++i) {
    const auto path = fmt::format("{}[{}]", fields.path_of("layers"), i);
    model.layers.push_back(layer_from_json(JsonFields(layers[i], path, fault), fault));
  }
  fields.finish();
  return model;
}

OptimizerSpec optimizer_from_json(JsonFields fields) {
  OptimizerSpec optimizer;
  optimizer.kind = fields.text("type", kWordBytesMax);
  optimizer.lr = fields.number("lr");
  optimizer.momentum = fields.number("momentum");
  optimizer.weight_decay = fields.number("weight_decay");
  fields.finish();
  return optimizer;
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
  if (fields.text("loss", kWordBytesMax) != kCrossEntropy) {
    fault.set(fmt::format("{} must be \"{}\"", fields.path_of("loss"), kCrossEntropy));
  }
  train.optimizer = optimizer_from_json(fields.object("optimizer"));
  fields.finish();
  return train;
}

}  // namespace

json job_to_json(const JobSpec& spec) {
  json job{{"model", model_to_json(spec.model)}, {"train", train_to_json(spec.train)}};
  if (spec.evaluate) {
    job["evaluate"] = {{"dataset", spec.evaluate->dataset}};
  }
  return job;
}

JobSpec job_from_json(JsonFields& job, Fault& fault) {
  JobSpec spec;
  spec.model = model_from_json(job.object("model"), fault);
  spec.train = train_from_json(job.object("train"), fault);
  if (job.has("evaluate")) {
    JsonFields evaluate = job.object("evaluate");
    spec.evaluate.emplace().dataset = evaluate.text("dataset", kWordBytesMax);
    evaluate.finish();
  }
  job.finish();
  return spec;
}

}  // namespace entente::agent::contract
