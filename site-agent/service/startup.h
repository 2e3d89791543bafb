// What an agent needs before it can start. `entente-agent doctor` asks the same.
#pragma once

#include <filesystem>

#include "common/base/refusal.h"
#include "common/crypto/kit.h"
#include "site-agent/service/agent_config.h"

namespace entente::agent {

// Refuses like load_kit, and with "kit_invalid" or "config_invalid" a kit that is no site's, or
// when nothing says where the broker is.
[[nodiscard]] Expected<Kit> site_kit(const AgentConfig& config);

// Refuses with "trainer_missing" what cannot be run.
[[nodiscard]] Expected<void> check_trainer(const std::filesystem::path& program);

}  // namespace entente::agent
