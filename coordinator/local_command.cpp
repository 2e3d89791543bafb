#include "coordinator/local_command.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <fstream>
#include <iterator>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string_view>

#include "common/base/ids.h"
#include "coordinator/local_consortium.h"
#include "coordinator/text.h"

namespace entente::cli {
namespace {

constexpr std::size_t kSitesMax = 1000;
constexpr std::size_t kTrainersMax = 256;

// Local sites belong to whoever started them: they let their one coordinator do everything, unless
// a --site-config says otherwise.
constexpr const char* kOpenPolicy =
    "[policy]\ncoordinators = [\"*\"]\ndatasets = [\"*\"]\nkinds = [\"*\"]\n";

struct LocalArguments {
  std::filesystem::path folder = "entente-local";
  std::size_t sites = 3;
  std::vector<std::string> names;  // instead of `sites`
  std::filesystem::path site_config;
  std::size_t trainers = 0;  // one for each processor
  std::optional<std::size_t> warm;
  bool purge = false;
};

Expected<std::string> read_site_config(const std::filesystem::path& file) {
  if (file.empty()) {
    return std::string(kOpenPolicy);
  }
  std::ifstream in(file);
  if (!in) {
    return refuse("config_missing", fmt::format("{} cannot be read", file.string()),
                  "name a TOML file with [[datasets]] and [policy] for --site-config");
  }
  auto text = std::string(std::istreambuf_iterator<char>(in), {});
  constexpr std::string_view kHere = "{here}";
  const auto here = std::filesystem::absolute(file).parent_path().string();
  for (auto at = text.find(kHere); at != text.npos; at = text.find(kHere, at + here.size())) {
    text.replace(at, kHere.size(), here);
  }
  return text;
}

Expected<std::vector<std::string>> site_names(const LocalArguments& arguments) {
  if (arguments.names.empty()) {
    return local_site_names(arguments.sites);
  }
  const std::set<std::string> different(arguments.names.begin(), arguments.names.end());
  if (different.size() != arguments.names.size() || arguments.names.size() > kSitesMax ||
      !std::all_of(different.begin(), different.end(),
                   [](const auto& name) { return SiteId::parse(name).has_value(); })) {
    return refuse("name_invalid",
                  fmt::format("--names needs up to {} different names of a-z, 0-9, dots and dashes",
                              kSitesMax),
                  "for example: --names germany,france");
  }
  return arguments.names;
}

void print_status(const Options& options, const LocalConsortium& consortium) {
  const auto processes = consortium.processes();
  if (options.json) {
    auto json = nlohmann::json::array();
    for (const auto& process : processes) {
      json.push_back(
          {{"name", process.name}, {"pid", process.pid}, {"running", is_running(process)}});
    }
    print_json({{"folder", consortium.folder().string()},
                {"broker", consortium.endpoint()},
                {"kit", consortium.coordinator_kit().string()},
                {"processes", json}});
    return;
  }
  std::vector<std::vector<std::string>> rows{{"PROCESS", "ID", "STATE"}};
  for (const auto& process : processes) {
    rows.push_back(
        {process.name, std::to_string(process.pid), is_running(process) ? "running" : "ended"});
  }
  print_table(rows);
}

ExitCode up(const Options& options, const LocalArguments& arguments) {
  const auto site_config = read_site_config(arguments.site_config);
  if (!site_config) {
    return print_refusal(options, site_config.error());
  }
  const auto names = site_names(arguments);
  if (!names) {
    return print_refusal(options, names.error());
  }
  LocalConsortium consortium(arguments.folder);
  if (const auto begun = consortium.up({*names, *site_config, arguments.trainers, arguments.warm});
      !begun) {
    return print_refusal(options, begun.error());
  }
  print_status(options, consortium);
  if (!options.json) {
    fmt::print("\nuse it:   export ENTENTE_KIT={}\nstop it:  entente local down --dir {}\n",
               consortium.coordinator_kit().string(), arguments.folder.string());
  }
  return ExitCode::done;
}

ExitCode status(const Options& options, const LocalArguments& arguments) {
  const LocalConsortium consortium(arguments.folder);
  const auto processes = consortium.processes();
  if (processes.empty()) {
    return print_refusal(
        options,
        {"local_stopped", fmt::format("no consortium runs in {}", arguments.folder.string()),
         "start one with: entente local up --dir " + arguments.folder.string(), Scope::broker});
  }
  print_status(options, consortium);
  return std::all_of(processes.begin(), processes.end(), is_running) ? ExitCode::done
                                                                     : ExitCode::refused;
}

ExitCode down(const Options& options, const LocalArguments& arguments) {
  LocalConsortium consortium(arguments.folder);
  const auto count = consortium.processes().size();
  const auto killed = consortium.down();
  // Only a folder that a consortium was made in is ever removed.
  const bool purged = arguments.purge && std::filesystem::exists(consortium.folder() / "ca");
  if (purged) {
    std::filesystem::remove_all(consortium.folder());
  }
  if (options.json) {
    print_json({{"stopped", count}, {"killed", killed}, {"purged", purged}});
    return ExitCode::done;
  }
  if (count == 0 && !purged) {
    fmt::print("no consortium runs in {}\n", arguments.folder.string());
    return ExitCode::done;
  }
  fmt::print("stopped {} processes{}\n", count, purged ? " and removed their folder" : "");
  for (const auto& name : killed) {
    fmt::print("{} did not stop in time and was killed\n", name);
  }
  return ExitCode::done;
}

}  // namespace

void add_local_command(CLI::App& app, const Options& options, Action& chosen) {
  auto* local = app.add_subcommand("local", "A whole consortium on this machine, for trials");
  local->require_subcommand(1);
  const auto arguments = std::make_shared<LocalArguments>();
  const auto add = [&](const char* name, const char* help,
                       ExitCode (*run)(const Options&, const LocalArguments&)) {
    auto* command = local->add_subcommand(name, help);
    command->add_option("--dir", arguments->folder, "its folder")->capture_default_str();
    command->callback([&options, &chosen, arguments, run] {
      chosen = [&options, arguments, run] { return run(options, *arguments); };
    });
    return command;
  };
  auto* up_command = add("up", "Start it: CA, kits, one broker, some sites", up);
  auto* sites = up_command->add_option("--sites", arguments->sites, "number of sites")
                    ->check(CLI::Range(std::size_t{1}, kSitesMax))
                    ->capture_default_str();
  up_command->add_option("--names", arguments->names, "their names, with commas between them")
      ->delimiter(',')
      ->excludes(sites);
  up_command->add_option("--site-config", arguments->site_config,
                         "TOML for the end of each agent.toml ([[datasets]], [policy], [trainer]); "
                         "{site}, {index}, {sites} and {here}, the file's folder, are replaced");
  up_command
      ->add_option("--trainers", arguments->trainers,
                   "trainers that compute at once, over all sites; one for each processor unless "
                   "said otherwise")
      ->check(CLI::Range(std::size_t{1}, kTrainersMax));
  up_command
      ->add_option("--warm", arguments->warm,
                   "idle trainers that are kept for more work, over all sites; four for each that "
                   "computes unless said otherwise")
      ->check(CLI::Range(std::size_t{0}, kTrainersMax));
  add("status", "Show its processes", status);
  add("down", "Stop it", down)->add_flag("--purge", arguments->purge, "and remove its folder");
}

}  // namespace entente::cli
