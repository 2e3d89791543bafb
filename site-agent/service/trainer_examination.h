// `entente-agent trainer-test`: runs a trainer as the agent would, on one of the site's datasets,
// and holds it against the trainer contract (docs/trainer-contract.md).
//
// The same environment, stream, reader and check of files as in earnest; nothing is sent anywhere
// and the agent's folders are not touched. Never hangs: every command has its bounds, and a trainer
// that breaks down is killed.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "site-agent/service/agent_config.h"
#include "site-agent/service/findings.h"
#include "site-agent/service/trainer_dialogue.h"

namespace entente::agent {

struct TrainerTrial {
  std::string trainer;        // by its name in agent.toml; empty: [trainer] program
  std::string dataset;        // empty: the first
  std::filesystem::path job;  // a job file whose model and training are tried; empty: a small one
  Patience patience{};
};

struct TrainerReport {
  Findings findings;     // ok, warn: what a site can live with, fail: against the contract
  std::string log_tail;  // what the trainers have printed last, where one broke down
};

// Calls `report` with each finding as it is made. Refuses with "trainer_unknown",
// "trainer_missing", "dataset_unknown", or like read_job_file and describe_dataset. The process
// ignores SIGPIPE from then on.
[[nodiscard]] Expected<TrainerReport> examine_trainer(
    const AgentConfig& config, const TrainerTrial& trial,
    const std::function<void(const Finding&)>& report);

}  // namespace entente::agent
