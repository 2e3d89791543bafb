#include "coordinator/dataset_command.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <nlohmann/json.hpp>
#include <tuple>

#include "common/domain/layers.h"
#include "coordinator/ask.h"
#include "coordinator/text.h"

namespace entente::cli {
namespace {

// A dataset at a site that has it.
struct DatasetView {
  DatasetAdvert dataset;
  SiteId site;
  bool connected = false;
};

std::vector<DatasetView> datasets_of(const std::vector<SiteView>& sites) {
  std::vector<DatasetView> datasets;
  for (const auto& site : sites) {
    for (const auto& dataset : site.advert.datasets) {
      datasets.push_back({dataset, site.site, site.connected});
    }
  }
  std::sort(datasets.begin(), datasets.end(), [](const DatasetView& a, const DatasetView& b) {
    return std::tie(a.dataset.name, a.site) < std::tie(b.dataset.name, b.site);
  });
  return datasets;
}

nlohmann::json to_json(const DatasetView& view) {
  return {{"dataset", view.dataset.name},
          {"site", view.site.str()},
          {"kind", view.dataset.kind},
          {"connected", view.connected},
          {"examples", view.dataset.examples},
          {"example_shape", view.dataset.example_shape},
          {"classes", view.dataset.classes},
          {"targets", view.dataset.targets},
          {"vocabulary", view.dataset.vocabulary},
          {"features", view.dataset.features},
          {"tags", view.dataset.tags}};
}

void print_datasets(const std::vector<DatasetView>& datasets) {
  if (datasets.empty()) {
    fmt::print(
        "no site offers a dataset; sites list theirs in agent.toml (docs/agent-config.md)\n");
    return;
  }
  std::vector<std::vector<std::string>> rows{
      {"DATASET", "SITE", "CONNECTED", "EXAMPLES", "SHAPE", "TO LEARN", "TAGS"}};
  for (const auto& [dataset, site, connected] : datasets) {
    rows.push_back({dataset.name, site.str(), connected ? "yes" : "no",
                    with_commas(dataset.examples), to_string(dataset.example_shape),
                    goal_of(dataset), fmt::format("{}", fmt::join(dataset.tags, ", "))});
  }
  print_table(rows);
}

ExitCode list_datasets(const Options& options) {
  auto client = BrokerClient::connect(options);
  if (!client) {
    return print_refusal(options, client.error());
  }
  const auto sites = client->ask<std::vector<SiteView>>(msg::ListSites{});
  if (!sites) {
    return print_refusal(options, sites.error());
  }
  const auto datasets = datasets_of(*sites);
  if (options.json) {
    auto json = nlohmann::json::array();
    for (const auto& view : datasets) {
      json.push_back(to_json(view));
    }
    print_json(json);
  } else {
    print_datasets(datasets);
  }
  return ExitCode::done;
}

}  // namespace

std::string goal_of(const DatasetAdvert& dataset) {
  const auto [count, what] = dataset.targets == 0 ? std::pair(dataset.classes, "class")
                                                  : std::pair(dataset.targets, "number");
  const std::string_view plural = count == 1 ? "" : dataset.targets == 0 ? "es" : "s";
  return fmt::format("{} {}{}", count, what, plural);
}

void add_dataset_command(CLI::App& app, const Options& options, Action& chosen) {
  auto* dataset = app.add_subcommand("dataset", "The datasets that sites offer to train on");
  dataset->require_subcommand(1);
  dataset->add_subcommand("list", "List the datasets by name and site")
      ->callback([&options, &chosen] { chosen = [&options] { return list_datasets(options); }; });
}

}  // namespace entente::cli
