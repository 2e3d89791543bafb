// broker.toml: where the broker listens, who it is and where it keeps its data. Documented in
// docs/broker-config.md.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "broker/core/queue_settings.h"
#include "common/base/refusal.h"

namespace entente::broker {

struct BrokerConfig {
  std::filesystem::path kit;
  std::filesystem::path data_dir;
  std::string host;
  std::uint16_t port = 0;  // 0: any free one; see <data_dir>/endpoint
  QueueSettings queue;
};

// Relative paths are relative to the file. Refuses with "config_invalid".
[[nodiscard]] Expected<BrokerConfig> read_broker_config(const std::filesystem::path& file);

}  // namespace entente::broker
