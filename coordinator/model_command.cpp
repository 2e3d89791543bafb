#include "coordinator/model_command.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>

#include "common/runtime/system_clock.h"
#include "coordinator/ask.h"
#include "coordinator/model_description.h"
#include "coordinator/prune_command.h"
#include "coordinator/published_model.h"
#include "coordinator/text.h"

namespace entente::cli {
namespace {

struct ModelArguments {
  std::string model;
  std::filesystem::path output;
  std::string job;
};

std::string size_text(const ModelView& model) {
  return model.removed ? "removed" : human_bytes(model.bytes);
}

void print_models(const std::vector<ModelView>& models) {
  if (models.empty()) {
    fmt::print("no models yet; see how the jobs are with: entente job list\n");
    return;
  }
  std::vector<std::vector<std::string>> rows{
      {"MODEL", "PUBLISHED", "SIZE", "EVALUATION", "SHA-256"}};
  for (const auto& model : models) {
    rows.push_back({fmt::format("{}@{}", model.job.str(), model.version),
                    format_utc(model.published_unix_ms), size_text(model),
                    describe(model.evaluate_metrics), model.blob.short_hex()});
  }
  print_table(rows);
}

ExitCode list(const Options& options, const ModelArguments& arguments) {
  msg::ListModels query;
  if (!arguments.job.empty()) {
    const auto job = parse_job(arguments.job);
    if (!job) {
      return print_refusal(options, job.error());
    }
    query.job = *job;
  }
  return ask_and_print<std::vector<ModelView>>(options, query, print_models);
}

// What the update was trained from, and how late it came where that is not the version before.
std::string version_text(const ModelView& model, const Contribution& part) {
  const auto late = staleness(model, part);
  return fmt::format("version {}{}", part.started_from,
                     late == 0 ? "" : fmt::format(" ({} late)", late));
}

void print_receipt(const ModelView& model) {
  fmt::print("{}@{}\n", model.job.str(), model.version);
  print_fields({{"sha-256", model.blob.hex()},
                {"size", size_text(model)},
                {"published", format_utc(model.published_unix_ms)},
                {"strategy", model.strategy},
                {"spec", model.spec_digest.hex()},
                {"parent", model.parent ? model.parent->hex() : ""},
                {"starts from", model.origin},
                {"server state", model.server_state ? model.server_state->hex() : ""},
                {"evaluation", describe(model.evaluate_metrics)}});
  if (model.contributions.empty()) {
    return;
  }
  std::vector<std::vector<std::string>> rows{
      {"SITE", "EXAMPLES", "STEPS", "WEIGHT", "TRAINED FROM", "UPDATE"}};
  for (const auto& part : model.contributions) {
    rows.push_back({part.site.str(), with_commas(part.examples), with_commas(part.steps),
                    fmt::format("{:.4f}", part.weight), version_text(model, part),
                    part.update.hex()});
  }
  fmt::print("\n");
  print_table(rows);
}

ExitCode show(const Options& options, const ModelArguments& arguments) {
  const auto name = parse_model(arguments.model);
  if (!name) {
    return print_refusal(options, name.error());
  }
  auto client = BrokerClient::connect(options);
  if (!client) {
    return print_refusal(options, client.error());
  }
  const auto model = find_model(*client, *name);
  if (!model) {
    return print_refusal(options, model.error());
  }
  if (options.json) {
    print_json(to_json(*model));
  } else {
    print_receipt(*model);
  }
  return ExitCode::done;
}

ExitCode pull(const Options& options, const ModelArguments& arguments) {
  if (const auto writable = check_output(arguments.output); !writable) {
    return print_refusal(options, writable.error());
  }
  const auto model = pull_to(options, arguments.model, arguments.output);
  if (!model) {
    return print_refusal(options, model.error());
  }
  if (options.json) {
    auto json = to_json(*model);
    json["file"] = arguments.output.string();
    print_json(json);
  } else {
    fmt::print("{}@{} -> {} ({}, SHA-256 {})\n", model->job.str(), model->version,
               arguments.output.string(), human_bytes(model->bytes), model->blob.hex());
  }
  return ExitCode::done;
}

}  // namespace

void add_model_command(CLI::App& app, const Options& options, Action& chosen) {
  auto* model = app.add_subcommand("model", "The models that jobs have published");
  model->require_subcommand(1);
  const auto arguments = std::make_shared<ModelArguments>();

  auto* list_command = model->add_subcommand("list", "List every version of every model");
  list_command->add_option("--job", arguments->job, "only this job's");
  list_command->callback([&options, &chosen, arguments] {
    chosen = [&options, arguments] { return list(options, *arguments); };
  });

  auto* show_command = model->add_subcommand("show", "Show a model's receipt");
  show_command->add_option("MODEL", arguments->model, "job id, job@round or job@best")->required();
  show_command->callback([&options, &chosen, arguments] {
    chosen = [&options, arguments] { return show(options, *arguments); };
  });

  auto* pull_command = model->add_subcommand("pull", "Download a model as a safetensors file");
  pull_command->add_option("MODEL", arguments->model, "job id, job@round or job@best")->required();
  pull_command->add_option("-o,--output", arguments->output, "the file to write")->required();
  pull_command->callback([&options, &chosen, arguments] {
    chosen = [&options, arguments] { return pull(options, *arguments); };
  });

  auto* describe_command = model->add_subcommand(
      "describe", "Show a model's layers, shapes and parameters, and all layers written out");
  describe_command->add_option("MODEL", arguments->model, "job file, or job id")->required();
  describe_command->callback([&options, &chosen, arguments] {
    chosen = [&options, arguments] { return describe_model(options, arguments->model); };
  });

  add_prune_command(*model, options, chosen);
}

}  // namespace entente::cli
