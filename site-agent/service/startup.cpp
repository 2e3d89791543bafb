#include "site-agent/service/startup.h"

#include <fmt/format.h>
#include <unistd.h>

#include "common/runtime/system_clock.h"

namespace entente::agent {

Expected<Kit> site_kit(const AgentConfig& config) {
  auto kit = load_kit(config.kit, system_now().unix_ms);
  if (kit && kit->identity.role != Role::site) {
    return refuse("kit_invalid",
                  fmt::format("the kit {} belongs to {}, not to a site", config.kit.string(),
                              kit->identity.path()),
                  "ask the operator for a site's kit", Scope::site);
  }
  if (kit && kit->broker.empty() && config.broker.empty()) {
    return refuse("config_invalid", "neither agent.toml nor the kit says where the broker is",
                  "add broker = \"host:port\" to agent.toml", Scope::site);
  }
  return kit;
}

Expected<void> check_trainer(const std::filesystem::path& program) {
  if (::access(program.c_str(), X_OK) != 0) {
    return refuse(
        "trainer_missing", fmt::format("there is no trainer program at {}", program.string()),
        "install entente-trainer beside entente-agent, or set [trainer] program", Scope::site);
  }
  return {};
}

}  // namespace entente::agent
