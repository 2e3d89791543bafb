#include "coordinator/prune_command.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <system_error>

#include "common/config/job_file.h"
#include "common/tensors/pruning.h"
#include "common/tensors/unit_pruning.h"
#include "coordinator/model_description.h"
#include "coordinator/published_model.h"
#include "coordinator/text.h"

namespace entente::cli {
namespace {

namespace fs = std::filesystem;

struct PruneArguments {
  std::string model;               // a file, or a published model's name
  std::optional<double> sparsity;  // one of the two
  std::optional<double> units;
  std::string layers;  // a job file or a job that says what layers the model has
  fs::path output;
};

bool is_file(const std::string& name) {
  std::error_code ignored;
  return fs::is_regular_file(name, ignored);
}

// Calls `prune` with the model file, one that is pulled first if need be.
template <class Result>
Expected<Result> with_file(const Options& options, const PruneArguments& arguments,
                           const std::function<Expected<Result>(const TensorFile&)>& prune) {
  const auto run = [&](const fs::path& model) -> Expected<Result> {
    const auto file = TensorFile::open(model);
    if (!file) {
      return tl::unexpected(file.error());
    }
    try {
      return prune(*file);
    } catch (const std::system_error& error) {
      return refuse("output_invalid", error.what(), "name another file with -o FILE");
    }
  };
  std::error_code ignored;
  if (is_file(arguments.model)) {
    if (fs::equivalent(arguments.model, arguments.output, ignored)) {
      return refuse("output_invalid",
                    fmt::format("{} would be overwritten while it is read", arguments.model),
                    "name another file with -o FILE");
    }
    return run(arguments.model);
  }
  auto whole = arguments.output;
  whole += ".unpruned";
  if (const auto model = pull_to(options, arguments.model, whole); !model) {
    return tl::unexpected(model.error());
  }
  auto pruned = run(whole);
  fs::remove(whole, ignored);
  return pruned;
}

ExitCode prune_weights(const Options& options, const PruneArguments& arguments) {
  const auto pruned = with_file<Pruned>(options, arguments, [&](const TensorFile& file) {
    return prune_tensors(file, *arguments.sparsity, arguments.output);
  });
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

// The layers of a published model are those of its job.
Expected<ModelSpec> layers_of(const Options& options, const PruneArguments& arguments) {
  if (!arguments.layers.empty()) {
    return model_of(options, arguments.layers);
  }
  if (is_file(arguments.model)) {
    return refuse("model_unknown",
                  fmt::format("{} has the values of a model, and not its layers", arguments.model),
                  "name the job file or the job that it comes from with --layers");
  }
  const auto name = parse_model(arguments.model);
  if (!name) {
    return tl::unexpected(name.error());
  }
  return model_of(options, name->job.str());
}

void print_smaller(const PruneArguments& arguments, const UnitsPruned& pruned) {
  fmt::print("{} -> {}: {} of {} values are left\n\n", arguments.model, arguments.output.string(),
             with_commas(pruned.values_kept), with_commas(pruned.values));
  std::vector<std::vector<std::string>> rows{{"LAYER", "UNITS", "LEFT"}};
  for (const auto& layer : pruned.layers) {
    rows.push_back({layer.name, with_commas(layer.units), with_commas(layer.kept)});
  }
  print_table(rows);
  fmt::print("\nIts declaration, for a job file:\n\n{}", model_text(pruned.model));
}

ExitCode prune_whole_units(const Options& options, const PruneArguments& arguments) {
  const auto model = layers_of(options, arguments);
  if (!model) {
    return print_refusal(options, model.error());
  }
  const auto pruned = with_file<UnitsPruned>(options, arguments, [&](const TensorFile& file) {
    return prune_units(file, *model, *arguments.units, arguments.output);
  });
  if (!pruned) {
    return print_refusal(options, pruned.error());
  }
  if (!options.json) {
    print_smaller(arguments, *pruned);
    return ExitCode::done;
  }
  auto layers = nlohmann::json::array();
  for (const auto& layer : pruned->layers) {
    layers.push_back({{"name", layer.name}, {"units", layer.units}, {"kept", layer.kept}});
  }
  print_json({{"file", arguments.output.string()},
              {"values", pruned->values},
              {"values_kept", pruned->values_kept},
              {"layers", layers},
              {"declaration", model_text(pruned->model)}});
  return ExitCode::done;
}

ExitCode prune(const Options& options, const PruneArguments& arguments) {
  if (const auto writable = check_output(arguments.output); !writable) {
    return print_refusal(options, writable.error());
  }
  return arguments.units ? prune_whole_units(options, arguments)
                         : prune_weights(options, arguments);
}

}  // namespace

void add_prune_command(CLI::App& model, const Options& options, Action& chosen) {
  const auto arguments = std::make_shared<PruneArguments>();
  auto* command = model.add_subcommand(
      "prune", "Set the smallest weights of a model to zero, or take whole units away");
  command->add_option("MODEL", arguments->model, "model file, or job id, job@round or job@best")
      ->required();
  auto* how = command->add_option_group("how", "what goes; one of the two");
  how->add_option("--sparsity", arguments->sparsity,
                  "share of the weights that become zero, from 0 to below 1");
  auto* units =
      how->add_option("--units", arguments->units,
                      "share of each layer's units or channels that go, from 0 to below 1");
  how->require_option(1);
  command
      ->add_option("--layers", arguments->layers,
                   "with --units of a file: the job file or job that says what its layers are")
      ->needs(units);
  command->add_option("-o,--output", arguments->output, "the file to write")->required();
  command->callback([&options, &chosen, arguments] {
    chosen = [&options, arguments] { return prune(options, *arguments); };
  });
}

}  // namespace entente::cli
