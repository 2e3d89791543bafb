#include "site-agent/service/agent_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <system_error>

#include "common/base/ids.h"
#include "common/base/limits.h"
#include "common/base/nearest.h"
#include "common/base/quote.h"
#include "common/config/toml_table.h"
#include "common/domain/job_kind.h"
#include "common/domain/layers.h"
#include "site-agent/service/dataset_toml.h"

namespace entente::agent {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kSlotsMax = 256;
constexpr std::int64_t kThreadsMax = 1024;
// Each place is a file that every agent keeps open.
constexpr std::int64_t kPlacesMax = 256;
// Warm trainers hold 65-70 MB and their data, but no processor: more of them than run.
constexpr std::int64_t kWarmPerRunning = 4;
constexpr std::int64_t kRoundsPerDayMax = 1'000'000;

// Beside the agent's own program, where packages and build folders put both.
fs::path default_trainer() {
  std::error_code error;
  const fs::path self = fs::read_symlink("/proc/self/exe", error);
  return error ? fs::path("entente-trainer") : self.parent_path() / "entente-trainer";
}

bool is_device(const std::string& device) {
  const std::string_view number =
      std::string_view(device).substr(std::min<std::size_t>(5, device.size()));
  const bool is_number = !number.empty() && number.size() <= 3 &&
                         number.find_first_not_of("0123456789") == std::string_view::npos;
  return device == "cpu" || device == "auto" || (device.rfind("cuda:", 0) == 0 && is_number);
}

TrainerConfig read_trainer(TomlReader table, const fs::path& base) {
  TrainerConfig trainer;
  trainer.slots = static_cast<std::uint32_t>(table.integer("slots", 1, kSlotsMax, 1));
  trainer.threads_per_slot =
      static_cast<std::uint32_t>(table.integer("threads_per_slot", 1, kThreadsMax, 1));
  trainer.device = table.string("device", "cpu");
  if (!is_device(trainer.device)) {
    table.problem("device",
                  fmt::format("unknown device {}; known are \"cpu\", \"cuda:N\", \"auto\"",
                              quote(trainer.device)));
  }
  const std::string program = table.string("program", "");
  trainer.program = program.empty() ? default_trainer() : absolute_from(base, program);
  return trainer;
}

std::map<std::string, fs::path> read_named_trainers(TomlReader& root, const fs::path& base) {
  std::map<std::string, fs::path> trainers;
  for (TomlReader& table : root.tables("trainers")) {
    const std::string name = table.string("name");
    const fs::path program = absolute_from(base, table.string("program"));
    if (!name.empty() && !is_name(name)) {
      table.problem("name", fmt::format("trainer {} is no legal name", quote(name)));
    } else if (!trainers.emplace(name, program).second) {
      table.problem("name", fmt::format("there are two trainers {}", quote(name)));
    }
  }
  return trainers;
}

TrainerPoolConfig read_trainer_pool(TomlReader table, const fs::path& base) {
  TrainerPoolConfig pool;
  pool.folder = absolute_from(base, table.string("folder"));
  const auto running = table.integer("running", 1, kPlacesMax);
  const auto warm = std::min(kPlacesMax, kWarmPerRunning * running);
  pool.running = static_cast<std::uint32_t>(running);
  pool.warm = static_cast<std::uint32_t>(table.integer("warm", 0, kPlacesMax, warm));
  return pool;
}

std::map<std::string, std::string> read_labels(TomlReader table) {
  std::map<std::string, std::string> labels;
  for (const auto& [key, value] : table.rest()) {
    const auto* text = std::get_if<std::string>(&value);
    if (!is_name(key)) {
      table.problem(key, fmt::format("label {} is no legal name", quote(key)));
    } else if (text == nullptr || !is_short_text(*text)) {
      table.problem(key, fmt::format("label {} must be a string of 1 to 255 bytes", quote(key)));
    } else {
      labels.emplace(key, *text);
    }
  }
  if (labels.size() > limits::kLabelsPerSiteMax) {
    table.problem("labels", fmt::format("at most {} labels", limits::kLabelsPerSiteMax));
  }
  return labels;
}

SiteConfig read_site(TomlReader table) {
  SiteConfig site;
  site.jurisdiction = table.string("jurisdiction", "");
  if (!site.jurisdiction.empty() && !is_jurisdiction(site.jurisdiction)) {
    table.problem("jurisdiction", fmt::format("{} is no jurisdiction; write capitals, digits and "
                                              "dashes, such as \"DE\" or \"US-CA\"",
                                              quote(site.jurisdiction)));
  }
  site.labels = read_labels(table.table("labels"));
  site.resources.cores =
      static_cast<std::uint32_t>(table.integer("cores", 1, limits::kCoresMax, 0));
  site.resources.memory_bytes = table.bytes("memory", limits::kMemoryBytesMax, 0);
  site.resources.gpus = static_cast<std::uint32_t>(table.integer("gpus", 0, limits::kGpusMax, 0));
  return site;
}

// A name in a policy list that no job can ever match is a mistake, and a silent one.
std::vector<std::string> read_clause(TomlReader& table, std::string_view clause) {
  std::vector<std::string> names = table.strings(clause);
  for (const std::string& name : names) {
    if (name != "*" && !is_name(name)) {
      table.problem(clause, fmt::format("{} is neither a legal name nor \"*\"", quote(name)));
    }
  }
  return names;
}

// "+01:00": how far the site's clock is ahead of UTC.
std::int32_t read_utc_offset(TomlReader& table) {
  const std::string text = table.string("utc_offset", "+00:00");
  const bool has_sign = !text.empty() && (text[0] == '+' || text[0] == '-');
  // A time of day with any other end reads it.
  const auto hours = has_sign ? Hours::parse(text.substr(1) + "-23:59") : std::nullopt;
  constexpr std::uint32_t kOffsetMinutesMax = 14 * 60;
  if (!hours || hours->from_minute > kOffsetMinutesMax) {
    table.problem("utc_offset", fmt::format("{} is no offset such as \"+01:00\"", quote(text)));
    return 0;
  }
  const auto minutes = static_cast<std::int32_t>(hours->from_minute);
  return text[0] == '-' ? -minutes : minutes;
}

// A whole number at the key, or nothing.
std::optional<std::uint32_t> read_limit(TomlReader& table, std::string_view key, std::int64_t max) {
  if (!table.has(key)) {
    return std::nullopt;
  }
  return static_cast<std::uint32_t>(table.integer(key, 0, max));
}

std::map<std::string, std::uint32_t> read_rounds_of(TomlReader table) {
  std::map<std::string, std::uint32_t> rounds;
  for (const auto& [name, value] : table.rest()) {
    const auto* count = std::get_if<std::int64_t>(&value);
    if (!is_name(name) || count == nullptr || *count < 0 || *count > kRoundsPerDayMax) {
      table.problem(name,
                    fmt::format("rounds_per_day_of.{} must give a coordinator's name a number "
                                "from 0 to {}",
                                name, kRoundsPerDayMax));
    } else {
      rounds.emplace(name, static_cast<std::uint32_t>(*count));
    }
  }
  return rounds;
}

std::optional<Hours> read_hours(TomlReader& table) {
  if (!table.has("hours")) {
    return std::nullopt;
  }
  const std::string text = table.string("hours");
  const auto hours = Hours::parse(text);
  if (!hours) {
    table.problem("hours",
                  fmt::format("{} is no part of a day such as \"22:00-06:00\"", quote(text)));
  }
  return hours;
}

// Likewise a word that is no kind of job.
std::vector<std::string> read_kinds(TomlReader& table) {
  std::vector<std::string> kinds = table.strings("kinds");
  for (const std::string& kind : kinds) {
    if (kind != "*" && !parse_job_kind(kind)) {
      table.problem("kinds", fmt::format("{} is no kind of job{}", quote(kind),
                                         suggestion(kind, job_kind_names())));
    }
  }
  return kinds;
}

std::vector<std::string> read_layers(TomlReader& table) {
  const auto known = layer_kinds();
  std::vector<std::string> layers = table.strings("layers");
  for (const std::string& layer : layers) {
    if (std::find(known.begin(), known.end(), layer) == known.end()) {
      table.problem("layers", fmt::format("layer type {} is unknown{}", quote(layer),
                                          suggestion(layer, known)));
    }
  }
  return layers;
}

Approval read_approval(TomlReader& table) {
  const std::string word = table.string("approve", "automatic");
  if (word != "automatic" && word != "manual") {
    table.problem("approve", fmt::format("approve is {}, which is unknown{}", quote(word),
                                         suggestion(word, {"automatic", "manual"})));
  }
  return word == "automatic" ? Approval::automatic : Approval::manual;
}

Policy read_policy(TomlReader table) {
  Policy policy;
  policy.coordinators = read_clause(table, "coordinators");
  policy.datasets = read_clause(table, "datasets");
  policy.kinds = read_kinds(table);
  policy.layers = read_layers(table);
  if (table.has("parameters_max")) {
    policy.parameters_max = static_cast<std::uint64_t>(
        table.integer("parameters_max", 0, static_cast<std::int64_t>(limits::kModelParametersMax)));
  }
  if (table.has("update_max")) {
    policy.update_bytes_max = table.bytes("update_max", limits::kBlobBytesMax, 0);
  }
  policy.cohort_min = static_cast<std::uint32_t>(
      table.integer("cohort_min", 1, static_cast<std::int64_t>(limits::kSitesPerJobMax), 1));
  policy.evaluation_examples_min = static_cast<std::uint64_t>(
      table.integer("evaluation_examples_min", 1, static_cast<std::int64_t>(limits::kExamplesMax),
                    static_cast<std::int64_t>(kEvaluationExamplesMinDefault)));
  policy.statistics_cell_min = static_cast<std::uint64_t>(table.integer(
      "statistics_cell_min", 1, static_cast<std::int64_t>(limits::kStatisticsCellMinMax),
      static_cast<std::int64_t>(kStatisticsCellMinDefault)));
  policy.rounds_per_day = read_limit(table, "rounds_per_day", kRoundsPerDayMax);
  policy.rounds_of = read_rounds_of(table.table("rounds_per_day_of"));
  policy.hours = read_hours(table);
  policy.utc_offset_minutes = read_utc_offset(table);
  policy.approve = read_approval(table);
  return policy;
}

}  // namespace

Expected<fs::path> TrainerConfig::program_for(const std::string& name) const {
  if (name.empty()) {
    return program;
  }
  const auto found = named.find(name);
  if (found == named.end()) {
    return refuse("trainer_unknown", fmt::format("the site has no trainer {}", quote(name)),
                  "list it in [[trainers]] of the site's agent.toml", Scope::site);
  }
  return found->second;
}

Expected<fs::path> read_data_dir(const fs::path& file) {
  auto toml = TomlFile::parse_file(file);
  if (!toml) {
    return tl::unexpected(toml.error());
  }
  TomlReader root = toml->root();
  const auto data_dir = root.string("data_dir", "");
  if (data_dir.empty()) {
    const auto* what = root.has("data_dir") ? "must be the path of a folder" : "is missing";
    return refuse("config_invalid", fmt::format("{}: \"data_dir\" {}", file.string(), what),
                  "docs/agent-config.md explains every key");
  }
  return absolute_from(fs::absolute(file).parent_path(), data_dir);
}

Expected<AgentConfig> read_agent_config(const fs::path& file) {
  auto toml = TomlFile::parse_file(file);
  if (!toml) {
    return tl::unexpected(toml.error());
  }
  const fs::path base = fs::absolute(file).parent_path();
  TomlReader root = toml->root();
  AgentConfig config;
  config.kit = absolute_from(base, root.string("kit"));
  config.data_dir = absolute_from(base, root.string("data_dir"));
  config.broker = root.string("broker", "");
  config.proxy = root.string("proxy", "");
  config.site = read_site(root.table("site"));
  config.trainer = read_trainer(root.table("trainer"), base);
  config.trainer.named = read_named_trainers(root, base);
  if (root.has("trainer_pool")) {
    config.trainer_pool = read_trainer_pool(root.table("trainer_pool"), base);
  }
  config.datasets = read_datasets(root, base);
  config.policy = read_policy(root.table("policy"));
  if (auto problems = toml->problems()) {
    problems->hint = "docs/agent-config.md explains every key";
    return tl::unexpected(std::move(*problems));
  }
  return config;
}

}  // namespace entente::agent
