// agent.toml, the one file of a site (documented in docs/agent-config.md).
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/base/refusal.h"
#include "common/domain/site.h"
#include "site-agent/data/dataset_config.h"
#include "site-agent/policy/policy.h"

namespace entente::agent {

// The [trainer] table.
struct TrainerConfig {
  std::uint32_t slots = 1;             // tasks that run at the same time
  std::uint32_t threads_per_slot = 1;  // fixed: a model's bits depend on it
  std::string device = "cpu";
  std::filesystem::path program;
};

// trainer_pool: what the agents of one machine share, so that they do not all compute at once.
struct TrainerPoolConfig {
  std::filesystem::path folder;  // the same for all of them
  std::uint32_t running = 1;     // trainers that compute at the same time
  std::uint32_t warm = 0;        // trainers that wait for more work
  bool operator==(const TrainerPoolConfig&) const = default;
};

// The [site] table: what the site tells about itself beside its data.
struct SiteConfig {
  std::string jurisdiction;
  std::map<std::string, std::string> labels;
  Resources resources;  // 0 cores or bytes: what the machine has
};

// All paths are absolute.
struct AgentConfig {
  std::filesystem::path kit;
  std::filesystem::path data_dir;
  std::string broker;  // empty: the kit's
  std::string proxy;   // empty: the kit's
  SiteConfig site;
  TrainerConfig trainer;
  std::optional<TrainerPoolConfig> trainer_pool;  // none: this agent's trainers have the machine
  std::vector<DatasetConfig> datasets;
  Policy policy;

  [[nodiscard]] std::filesystem::path journal_file() const { return data_dir / "journal.db"; }
};

// Refuses with "config_invalid", a line for every problem of the file.
[[nodiscard]] Expected<AgentConfig> read_agent_config(const std::filesystem::path& file);

// Where the agent of this file keeps its data, whatever else may be wrong with the file: that is
// enough to reach a running agent, and people must be able to stop it.
[[nodiscard]] Expected<std::filesystem::path> read_data_dir(const std::filesystem::path& file);

}  // namespace entente::agent
