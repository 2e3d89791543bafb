// Reads the [[datasets]] tables of agent.toml. docs/datasets.md explains every key.
#pragma once

#include <filesystem>
#include <vector>

#include "common/config/toml_table.h"
#include "site-agent/data/dataset_config.h"

namespace entente::agent {

// A dataset with a holdout becomes two: what is left to train on, and NAME-holdout. Paths are
// relative to `base`. Problems are recorded in the reader's file.
[[nodiscard]] std::vector<DatasetConfig> read_datasets(TomlReader& root,
                                                       const std::filesystem::path& base);

// What may be shown to people in one line of a table: 1 to 255 bytes without control characters.
[[nodiscard]] bool is_short_text(std::string_view text);

// A relative path begins at `base`; an empty one stays empty.
[[nodiscard]] std::filesystem::path absolute_from(const std::filesystem::path& base,
                                                  const std::string& path);

}  // namespace entente::agent
