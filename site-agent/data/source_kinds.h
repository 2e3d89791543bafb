// The kinds of sources that a dataset may have: one row each in source_kinds.cpp.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "site-agent/data/dataset_config.h"

namespace entente::agent {

// "idx", "csv", ...: what agent.toml calls them.
[[nodiscard]] std::vector<std::string> source_kinds();
[[nodiscard]] std::string_view kind_of(const SourceConfig& source);
// A source of that kind with default values; nothing for an unknown kind.
[[nodiscard]] std::optional<SourceConfig> source_of_kind(std::string_view kind);
// Whether its examples come as rows of named columns.
[[nodiscard]] bool is_table(const SourceConfig& source);

}  // namespace entente::agent
