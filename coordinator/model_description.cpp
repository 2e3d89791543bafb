#include "coordinator/model_description.h"

#include <fmt/format.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "common/config/job_file.h"
#include "coordinator/broker_client.h"
#include "coordinator/text.h"

namespace entente::cli {
namespace {

std::uint64_t elements(const std::vector<TensorInfo>& tensors) {
  return TensorLayout{tensors}.elements();
}

// Of a block what all of its layers have.
std::uint64_t parameters_of(const ResolvedLayer& layer) {
  auto sum = elements(layer.parameters);
  for (const auto* inner : {&layer.layers, &layer.shortcut}) {
    for (const auto& each : *inner) {
      sum += parameters_of(each);
    }
  }
  return sum;
}

using Rows = std::vector<std::vector<std::string>>;

void add_rows(const std::vector<ResolvedLayer>& layers, const std::string& indent, Rows& rows) {
  for (const auto& layer : layers) {
    rows.push_back({indent + layer.spec.name, layer.spec.kind, to_string(layer.output),
                    with_commas(parameters_of(layer))});
    add_rows(layer.layers, indent + "  ", rows);
    if (!layer.shortcut.empty()) {
      rows.push_back({indent + "  shortcut", "", "", ""});
      add_rows(layer.shortcut, indent + "    ", rows);
    }
  }
}

nlohmann::json to_json(const std::vector<ResolvedLayer>& layers) {
  auto array = nlohmann::json::array();
  for (const auto& layer : layers) {
    nlohmann::json object{{"name", layer.spec.name},
                          {"type", layer.spec.kind},
                          {"input", layer.input},
                          {"output", layer.output},
                          {"parameters", parameters_of(layer)}};
    if (!layer.layers.empty()) {
      object["layers"] = to_json(layer.layers);
      object["shortcut"] = to_json(layer.shortcut);
    }
    array.push_back(std::move(object));
  }
  return array;
}

nlohmann::json tensors_to_json(const TensorLayout& layout) {
  auto array = nlohmann::json::array();
  for (const auto& tensor : layout.tensors) {
    array.push_back({{"name", tensor.name}, {"shape", tensor.shape}});
  }
  return array;
}

void print(const ModelSpec& spec, const ResolvedModel& model) {
  Rows rows{{"LAYER", "TYPE", "OUTPUT", "PARAMETERS"}, {"input", "", to_string(spec.input), ""}};
  add_rows(model.layers, "", rows);
  print_table(rows);
  fmt::print("\n");
  print_fields(
      {{"parameters", with_commas(model.parameters())},
       {"statistics", model.buffer_elements == 0 ? "" : with_commas(model.buffer_elements)},
       {"model file", human_bytes(model.layout.bytes())},
       {"tensors", std::to_string(model.layout.tensors.size())}});
  for (const auto& tensor : model.layout.tensors) {
    fmt::print("    {} {}\n", tensor.name, to_string(tensor.shape));
  }
  fmt::print("\n{}", model_text(spec));
}

}  // namespace

Expected<ModelSpec> model_of(const Options& options, const std::string& subject) {
  std::error_code ignored;
  if (std::filesystem::is_regular_file(subject, ignored)) {
    return read_job_file(subject, {}).map([](const JobSpec& spec) { return spec.model; });
  }
  const auto job = JobId::parse(subject);
  if (!job) {
    return refuse("model_unknown", fmt::format("\"{}\" is neither a job file nor a job", subject),
                  "name a job file, or a job's id: entente job list");
  }
  auto client = BrokerClient::connect(options);
  if (!client) {
    return tl::unexpected(client.error());
  }
  return client->ask<JobView>(msg::ShowJob{*job}).map([](const JobView& view) {
    return view.spec.model;
  });
}

ExitCode describe_model(const Options& options, const std::string& subject) {
  const auto spec = model_of(options, subject);
  if (!spec) {
    return print_refusal(options, spec.error());
  }
  const auto model = resolve_model(*spec);
  if (!model) {
    return print_refusal(options, model.error());
  }
  if (options.json) {
    print_json({{"input", spec->input},
                {"layers", to_json(model->layers)},
                {"output", model->output},
                {"parameters", model->parameters()},
                {"statistics", model->buffer_elements},
                {"bytes", model->layout.bytes()},
                {"tensors", tensors_to_json(model->layout)},
                {"declaration", model_text(*spec)}});
  } else {
    print(*spec, *model);
  }
  return ExitCode::done;
}

}  // namespace entente::cli
