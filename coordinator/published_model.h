// Models by the names that people give them, and how they come from the broker.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "coordinator/broker_client.h"
#include "coordinator/output.h"

namespace entente::cli {

struct ModelName {
  JobId job;
  std::optional<Round> version;  // none: the newest
  bool is_best = false;
};

// "fashion-mnist-1" is the newest version, "fashion-mnist-1@3" that of round 3,
// "fashion-mnist-1@best" the one that did best where it was evaluated. Refuses with
// "model_unknown".
[[nodiscard]] Expected<ModelName> parse_model(const std::string& text);

[[nodiscard]] Expected<ModelView> find_model(BrokerClient& client, const ModelName& name);

// A download of gigabytes must not end in front of a place that cannot take it: refuses with
// "output_invalid".
[[nodiscard]] Expected<void> check_output(const std::filesystem::path& output);

// Gets the model that `text` names and writes it to `output`.
[[nodiscard]] Expected<ModelView> pull_to(const Options& options, const std::string& text,
                                          const std::filesystem::path& output);

}  // namespace entente::cli
