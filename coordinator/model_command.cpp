#include "coordinator/model_command.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <charconv>
#include <memory>
#include <nlohmann/json.hpp>
#include <system_error>

#include "common/runtime/system_clock.h"
#include "common/tensors/pruning.h"
#include "coordinator/ask.h"
#include "coordinator/model_description.h"
#include "coordinator/text.h"

namespace entente::cli {
namespace {

struct ModelArguments {
  std::string model;
  std::filesystem::path output;
  double sparsity = 0;
  std::string job;
};

struct ModelName {
  JobId job;
  std::optional<Round> version;  // none: the newest
  bool is_best = false;
};

// "fashion-mnist-1" is the newest version, "fashion-mnist-1@3" that of round 3,
// "fashion-mnist-1@best" the one that did best where it was evaluated.
Expected<ModelName> parse_model(const std::string& text) {
  const auto at = text.find('@');
  const auto job = JobId::parse(text.substr(0, at));
  std::optional<Round> version;
  bool is_legal = job.has_value();
  const bool is_best = at != std::string::npos && text.substr(at) == "@best";
  if (at != std::string::npos && !is_best) {
    Round number = 0;
    const auto* end = text.data() + text.size();
    const auto parsed = std::from_chars(text.data() + at + 1, end, number);
    is_legal = is_legal && parsed.ec == std::errc() && parsed.ptr == end;
    version = number;
  }
  if (!is_legal) {
    return refuse("model_unknown", fmt::format("\"{}\" is no model", text),
                  "write the job's id, job@round or job@best; list them with: entente model list");
  }
  return ModelName{*job, version, is_best};
}

// The round whose model was evaluated best, by the job's own metric where it has one. Of equal ones
// the earlier.
std::optional<Round> best_round(const JobView& job) {
  std::optional<Round> best;
  double best_score = 0;
  for (const auto& round : job.rounds) {
    const auto its_score = score(job.spec.stop, round.evaluate_metrics);
    if (round.model && !round.removed && its_score && (!best || *its_score > best_score)) {
      best = round.round;
      best_score = *its_score;
    }
  }
  return best;
}

Expected<ModelView> find_model(BrokerClient& client, const ModelName& name) {
  msg::ShowModel query{name.job, name.version};
  if (name.is_best) {
    const auto job = client.ask<JobView>(msg::ShowJob{name.job});
    if (!job) {
      return tl::unexpected(job.error());
    }
    query.version = best_round(*job);
    if (!query.version) {
      return refuse("model_unknown",
                    fmt::format("no model of {} has been evaluated", name.job.str()),
                    "give the job an [evaluate] table, or name a round: job@round");
    }
  }
  return client.ask<ModelView>(query);
}

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
  std::vector<std::vector<std::string>> rows{{"SITE", "EXAMPLES", "STEPS", "WEIGHT", "UPDATE"}};
  for (const auto& part : model.contributions) {
    rows.push_back({part.site.str(), with_commas(part.examples), with_commas(part.steps),
                    fmt::format("{:.4f}", part.weight), part.update.hex()});
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

// A download of gigabytes must not end in front of a place that cannot take it.
Expected<void> check_output(const std::filesystem::path& output) {
  std::error_code ignored;
  if (std::filesystem::is_directory(output, ignored)) {
    return refuse("output_invalid", fmt::format("{} is a folder", output.string()),
                  "name the file to write with -o FILE");
  }
  const auto folder = std::filesystem::absolute(output).parent_path();
  if (!std::filesystem::is_directory(folder, ignored)) {
    return refuse("output_invalid", fmt::format("there is no folder {}", folder.string()),
                  "make it first, or name another file with -o FILE");
  }
  return {};
}

// Gets the model that `text` names and writes it to `output`.
Expected<ModelView> pull_to(const Options& options, const std::string& text,
                            const std::filesystem::path& output) {
  const auto name = parse_model(text);
  if (!name) {
    return tl::unexpected(name.error());
  }
  auto client = BrokerClient::connect(options);
  if (!client) {
    return tl::unexpected(client.error());
  }
  auto model = find_model(*client, *name);
  if (!model) {
    return model;
  }
  if (model->removed) {
    return refuse(
        "model_removed",
        fmt::format("{}@{} is no longer kept, only its receipt is: the job keeps its best "
                    "and its last model",
                    model->job.str(), model->version),
        fmt::format("pull {0}@best, or the last one: {0}", model->job.str()));
  }
  if (const auto pulled = client->download(*model, output); !pulled) {
    return tl::unexpected(pulled.error());
  }
  return model;
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

Expected<Pruned> prune_file(const std::filesystem::path& model, const ModelArguments& arguments) {
  const auto file = TensorFile::open(model);
  if (!file) {
    return tl::unexpected(file.error());
  }
  try {
    return prune_tensors(*file, arguments.sparsity, arguments.output);
  } catch (const std::system_error& error) {
    return refuse("output_invalid", error.what(), "name another file with -o FILE");
  }
}

// Of a file, or of a model that is pulled first.
Expected<Pruned> prune_model(const Options& options, const ModelArguments& arguments) {
  std::error_code ignored;
  if (std::filesystem::is_regular_file(arguments.model, ignored)) {
    if (std::filesystem::equivalent(arguments.model, arguments.output, ignored)) {
      return refuse("output_invalid",
                    fmt::format("{} would be overwritten while it is read", arguments.model),
                    "name another file with -o FILE");
    }
    return prune_file(arguments.model, arguments);
  }
  auto whole = arguments.output;
  whole += ".unpruned";
  if (const auto model = pull_to(options, arguments.model, whole); !model) {
    return tl::unexpected(model.error());
  }
  auto pruned = prune_file(whole, arguments);
  std::filesystem::remove(whole, ignored);
  return pruned;
}

ExitCode prune(const Options& options, const ModelArguments& arguments) {
  if (const auto writable = check_output(arguments.output); !writable) {
    return print_refusal(options, writable.error());
  }
  const auto pruned = prune_model(options, arguments);
  if (!pruned) {
    return print_refusal(options, pruned.error());
  }
  if (options.json) {
    print_json({{"file", arguments.output.string()},
                {"weights", pruned->weights},
                {"zeros", pruned->zeros}});
  } else {
    fmt::print("{} -> {}: {} of {} weights are zero\n", arguments.model, arguments.output.string(),
               with_commas(pruned->zeros), with_commas(pruned->weights));
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

  auto* prune_command =
      model->add_subcommand("prune", "Set the smallest weights of a model to zero");
  prune_command
      ->add_option("MODEL", arguments->model, "model file, or job id, job@round or job@best")
      ->required();
  prune_command
      ->add_option("--sparsity", arguments->sparsity,
                   "share of the weights to remove, from 0 to below 1")
      ->required();
  prune_command->add_option("-o,--output", arguments->output, "the file to write")->required();
  prune_command->callback([&options, &chosen, arguments] {
    chosen = [&options, arguments] { return prune(options, *arguments); };
  });
}

}  // namespace entente::cli
