#include "coordinator/catalogue_commands.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "common/domain/layers.h"
#include "common/runtime/system_clock.h"
#include "coordinator/broker_client.h"
#include "coordinator/json_views.h"
#include "coordinator/text.h"

namespace entente::cli {
namespace {

Expected<std::vector<SiteView>> ask_sites(const Options& options) {
  auto client = BrokerClient::connect(options);
  if (!client) {
    return tl::unexpected(client.error());
  }
  return client->ask<std::vector<SiteView>>(msg::ListSites{});
}

ExitCode list_sites(const Options& options) {
  const auto sites = ask_sites(options);
  if (!sites) {
    return print_refusal(options, sites.error());
  }
  if (options.json) {
    auto json = nlohmann::json::array();
    for (const auto& site : *sites) {
      json.push_back(to_json(site));
    }
    print_json(json);
    return ExitCode::done;
  }
  std::vector<std::vector<std::string>> rows{
      {"SITE", "CONNECTED", "LAST SEEN", "DATASETS", "SLOTS", "JOBS", "VERSION"}};
  for (const auto& site : *sites) {
    std::vector<std::string> datasets;
    for (const auto& dataset : site.advert.datasets) {
      datasets.push_back(dataset.name);
    }
    rows.push_back({site.site.str(), site.connected ? "yes" : "no",
                    site.connected ? "now" : format_utc(site.last_seen_unix_ms),
                    fmt::format("{}", fmt::join(datasets, ", ")), std::to_string(site.advert.slots),
                    std::to_string(site.jobs.size()), site.advert.version});
  }
  print_table(rows);
  return ExitCode::done;
}

ExitCode list_datasets(const Options& options) {
  const auto sites = ask_sites(options);
  if (!sites) {
    return print_refusal(options, sites.error());
  }
  std::vector<std::vector<std::string>> rows{
      {"DATASET", "SITE", "CONNECTED", "EXAMPLES", "SHAPE", "CLASSES"}};
  auto json = nlohmann::json::array();
  for (const auto& site : *sites) {
    for (const auto& dataset : site.advert.datasets) {
      rows.push_back({dataset.name, site.site.str(), site.connected ? "yes" : "no",
                      with_commas(dataset.examples), to_string(dataset.example_shape),
                      std::to_string(dataset.classes)});
      json.push_back({{"dataset", dataset.name},
                      {"site", site.site.str()},
                      {"connected", site.connected},
                      {"examples", dataset.examples},
                      {"example_shape", dataset.example_shape},
                      {"classes", dataset.classes}});
    }
  }
  if (options.json) {
    print_json(json);
    return ExitCode::done;
  }
  std::sort(rows.begin() + 1, rows.end());
  print_table(rows);
  return ExitCode::done;
}

}  // namespace

void add_catalogue_commands(CLI::App& app, const Options& options, Action& chosen) {
  auto* site = app.add_subcommand("site", "The consortium's sites");
  site->require_subcommand(1);
  site->add_subcommand("list", "List the sites, connected or not")->callback([&options, &chosen] {
    chosen = [&options] { return list_sites(options); };
  });
  auto* dataset = app.add_subcommand("dataset", "The datasets that sites offer to train on");
  dataset->require_subcommand(1);
  dataset->add_subcommand("list", "List the datasets by name and site")
      ->callback([&options, &chosen] { chosen = [&options] { return list_datasets(options); }; });
}

}  // namespace entente::cli
