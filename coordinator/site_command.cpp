#include "coordinator/site_command.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <thread>

#include "common/domain/layers.h"
#include "common/runtime/system_clock.h"
#include "coordinator/ask.h"
#include "coordinator/dataset_command.h"
#include "coordinator/json_views.h"
#include "coordinator/text.h"

namespace entente::cli {
namespace {

constexpr std::chrono::milliseconds kLookEvery{500};

struct SiteArguments {
  std::string site;
  std::string reason;
  bool wait = false;
};

std::string state_of(const SiteView& site) {
  if (site.advert.paused) {
    return "paused";
  }
  if (!site.draining) {
    return "at work";
  }
  return site.open_tasks > 0 ? fmt::format("draining, {} tasks open", site.open_tasks) : "drained";
}

void print_sites(const std::vector<SiteView>& sites) {
  if (sites.empty()) {
    fmt::print("no site has joined yet; a site does with: entente-agent serve --config FILE\n");
    return;
  }
  std::vector<std::vector<std::string>> rows{
      {"SITE", "CONNECTED", "LAST SEEN", "STATE", "LAW", "DATASETS", "SLOTS", "JOBS", "VERSION"}};
  for (const auto& site : sites) {
    std::vector<std::string> datasets;
    for (const auto& dataset : site.advert.datasets) {
      datasets.push_back(dataset.name);
    }
    rows.push_back({site.site.str(), site.connected ? "yes" : "no",
                    site.connected ? "now" : format_utc(site.last_seen_unix_ms), state_of(site),
                    site.advert.jurisdiction, fmt::format("{}", fmt::join(datasets, ", ")),
                    std::to_string(site.advert.slots), std::to_string(site.jobs.size()),
                    site.advert.version});
  }
  print_table(rows);
}

ExitCode list(const Options& options) {
  return ask_and_print<std::vector<SiteView>>(options, msg::ListSites{}, print_sites);
}

Expected<SiteId> parse_site(const std::string& text) {
  if (const auto id = SiteId::parse(text)) {
    return *id;
  }
  return refuse("site_unknown", fmt::format("\"{}\" is no site's name", text),
                "list the sites with: entente site list");
}

// Nothing when the consortium has no such site.
Expected<std::optional<SiteView>> find_site(BrokerClient& client, const SiteId& site) {
  auto sites = client.ask<std::vector<SiteView>>(msg::ListSites{});
  if (!sites) {
    return tl::unexpected(sites.error());
  }
  const auto found = std::find_if(sites->begin(), sites->end(),
                                  [&site](const SiteView& view) { return view.site == site; });
  return found == sites->end() ? std::nullopt : std::optional(std::move(*found));
}

Expected<std::uint32_t> open_tasks(BrokerClient& client, const SiteId& site) {
  return find_site(client, site).map([](const std::optional<SiteView>& view) {
    return view ? view->open_tasks : 0;
  });
}

// Until the site has nothing left to finish; a broker that is restarted meanwhile is waited for.
Expected<void> wait_until_drained(const Options& options, const SiteId& site) {
  std::optional<BrokerClient> client;
  std::optional<std::uint32_t> shown;
  for (;; std::this_thread::sleep_for(kLookEvery)) {
    if (!client) {
      if (auto dialled = BrokerClient::connect(options)) {
        client.emplace(*std::move(dialled));
      } else if (exit_code_for(dialled.error()) != ExitCode::unreachable) {
        return tl::unexpected(dialled.error());
      } else {
        continue;
      }
    }
    const auto open = open_tasks(*client, site);
    if (!open && exit_code_for(open.error()) != ExitCode::unreachable) {
      return tl::unexpected(open.error());
    }
    if (!open) {
      client.reset();
      continue;
    }
    if (*open == 0) {
      return {};
    }
    if (shown != *open && !options.json) {
      fmt::print("waiting for {}: {} {} open\n", site.str(), *open, *open == 1 ? "task" : "tasks");
      std::fflush(stdout);
    }
    shown = *open;
  }
}

std::string describe(const DatasetAdvert& dataset) {
  auto text = fmt::format("{}: {} examples of {}, {}", dataset.name, with_commas(dataset.examples),
                          to_string(dataset.example_shape), goal_of(dataset));
  if (!dataset.class_names.empty()) {
    text += fmt::format(" ({})", fmt::join(dataset.class_names, ", "));
  }
  if (!dataset.tags.empty()) {
    text += fmt::format("; {}", fmt::join(dataset.tags, ", "));
  }
  return text;
}

std::string describe(const Resources& resources) {
  return fmt::format("{} cores, {} of memory, {} GPUs", resources.cores,
                     human_bytes(resources.memory_bytes), resources.gpus);
}

void print_site(const SiteView& site) {
  const auto& advert = site.advert;
  std::vector<std::string> datasets;
  for (const auto& dataset : advert.datasets) {
    datasets.push_back(describe(dataset));
  }
  std::vector<std::string> labels;
  for (const auto& [key, value] : advert.labels) {
    labels.push_back(fmt::format("{} = {}", key, value));
  }
  std::vector<std::string> jobs;
  for (const auto& job : site.jobs) {
    jobs.push_back(job.str());
  }
  const auto state = state_of(site);
  fmt::print("{}\n", site.site.str());
  print_fields({
      {"connected", site.connected ? "yes" : "no, last seen " + format_utc(site.last_seen_unix_ms)},
      {"state", site.drain_reason.empty() ? state : state + ": " + site.drain_reason},
      {"paused", advert.paused ? "by its people" +
                                     (advert.pause_reason.empty() ? "" : ": " + advert.pause_reason)
                               : ""},
      {"jurisdiction", advert.jurisdiction},
      {"labels", fmt::format("{}", fmt::join(labels, "\n"))},
      {"datasets", fmt::format("{}", fmt::join(datasets, "\n"))},
      {"slots", fmt::format("{} of {} threads", advert.slots, advert.threads_per_slot)},
      {"resources", describe(advert.resources)},
      {"policy", advert.policy},
      {"jobs", fmt::format("{}", fmt::join(jobs, ", "))},
      {"version", advert.version},
  });
}

ExitCode show(const Options& options, const SiteArguments& arguments) {
  const auto id = parse_site(arguments.site);
  if (!id) {
    return print_refusal(options, id.error());
  }
  auto client = BrokerClient::connect(options);
  if (!client) {
    return print_refusal(options, client.error());
  }
  const auto site = find_site(*client, *id);
  if (!site) {
    return print_refusal(options, site.error());
  }
  if (!*site) {
    return print_refusal(options,
                         {"site_unknown", fmt::format("there is no site \"{}\"", id->str()),
                          "list the sites with: entente site list"});
  }
  if (options.json) {
    print_json(to_json(**site));
  } else {
    print_site(**site);
  }
  return ExitCode::done;
}

// Asks for the change and, where `wait` says so, waits for its end.
ExitCode change(const Options& options, const SiteArguments& arguments, bool drains) {
  const auto site = parse_site(arguments.site);
  if (!site) {
    return print_refusal(options, site.error());
  }
  auto client = BrokerClient::connect(options);
  if (!client) {
    return print_refusal(options, client.error());
  }
  const auto request = drains ? msg::RequestBody{msg::DrainSite{*site, arguments.reason}}
                              : msg::RequestBody{msg::ResumeSite{*site}};
  const auto done = client->ask<msg::Done>(request);
  if (!done) {
    return print_refusal(options, done.error());
  }
  if (arguments.wait) {
    const auto drained = wait_until_drained(options, *site);
    if (!drained) {
      return print_refusal(options, drained.error());
    }
  }
  const std::string state = !drains ? "at work" : arguments.wait ? "drained" : "draining";
  if (options.json) {
    print_json({{"site", site->str()}, {"state", state}});
  } else if (!drains) {
    fmt::print("{} gets tasks again\n", site->str());
  } else if (arguments.wait) {
    fmt::print("{0} has nothing left to do; bring it back with: entente site resume {0}\n",
               site->str());
  } else {
    fmt::print(
        "{0} finishes what it has and gets no new tasks\n"
        "wait for that with: entente site drain {0} --wait\n",
        site->str());
  }
  return ExitCode::done;
}

}  // namespace

void add_site_command(CLI::App& app, const Options& options, Action& chosen) {
  auto* site = app.add_subcommand("site", "The consortium's sites");
  site->require_subcommand(1);
  site->add_subcommand("list", "List the sites, connected or not")->callback([&options, &chosen] {
    chosen = [&options] { return list(options); };
  });
  const auto arguments = std::make_shared<SiteArguments>();
  auto* show_command = site->add_subcommand("show", "Everything that a site tells about itself");
  show_command->add_option("SITE", arguments->site, "the site's name")->required();
  show_command->callback([&options, &chosen, arguments] {
    chosen = [&options, arguments] { return show(options, *arguments); };
  });
  const auto add_change = [&](const char* name, const char* help, bool drains) {
    auto* command = site->add_subcommand(name, help);
    command->add_option("SITE", arguments->site, "the site's name")->required();
    command->callback([&options, &chosen, arguments, drains] {
      chosen = [&options, arguments, drains] { return change(options, *arguments, drains); };
    });
    return command;
  };
  auto* drain = add_change("drain", "Give a site no new tasks (operators only)", true);
  drain->add_flag("--wait", arguments->wait, "until it has finished the tasks that it has");
  drain->add_option("--reason", arguments->reason, "for the record and the coordinators");
  add_change("resume", "Give a drained site tasks again (operators only)", false);
}

}  // namespace entente::cli
