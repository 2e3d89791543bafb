// `--set path.to.key=value`: puts one value into a parsed TOML document. Internal to this folder.
#pragma once

#include <toml++/toml.h>

#include <string>

#include "common/base/refusal.h"

namespace entente {

// Where the nodes of an override say they come from, in place of a file name.
[[nodiscard]] std::string override_source(const std::string& text);

// Refuses with "config_invalid", naming the override.
[[nodiscard]] Expected<void> apply_override(toml::table& root, const std::string& text);

}  // namespace entente
