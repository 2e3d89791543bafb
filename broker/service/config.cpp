#include "broker/service/config.h"

#include <charconv>
#include <chrono>
#include <optional>

#include "common/base/limits.h"
#include "common/config/toml_table.h"

namespace entente::broker {
namespace {

constexpr const char* kListenDefault = "0.0.0.0:7100";
constexpr std::int64_t kQuotaMax = 1'000'000;
constexpr Millis kHalfLifeMin = std::chrono::minutes{1};
constexpr Millis kHalfLifeMax = std::chrono::hours{365 * 24};

std::optional<std::uint16_t> parse_port(std::string_view text) {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || end != text.data() + text.size()) {
    return std::nullopt;
  }
  return port;
}

std::optional<std::uint32_t> read_limit(TomlReader& table, std::string_view key) {
  if (!table.has(key)) {
    return std::nullopt;
  }
  return static_cast<std::uint32_t>(table.integer(key, 1, kQuotaMax));
}

QueueSettings read_queue(TomlReader& root) {
  QueueSettings settings;
  TomlReader queue = root.table("queue");
  settings.half_life = queue.duration("half_life", settings.half_life);
  if (settings.half_life < kHalfLifeMin || settings.half_life > kHalfLifeMax) {
    queue.problem("half_life", "queue.half_life must be from 1 minute to 365 days");
  }
  settings.coordinator_priority_max = static_cast<std::int32_t>(
      queue.integer("coordinator_priority_max", -limits::kPriorityMax, limits::kPriorityMax,
                    settings.coordinator_priority_max));
  TomlReader quotas = root.table("quotas");
  settings.quota = {read_limit(quotas, "jobs"), read_limit(quotas, "slots")};
  return settings;
}

}  // namespace

Expected<BrokerConfig> read_broker_config(const std::filesystem::path& file) {
  auto toml = TomlFile::parse_file(file);
  if (!toml) {
    return tl::unexpected(toml.error());
  }
  auto root = toml->root();
  const auto folder = std::filesystem::absolute(file).parent_path();
  BrokerConfig config;
  config.kit = folder / root.string("kit");
  config.data_dir = folder / root.string("data_dir");
  const auto listen = root.string("listen", kListenDefault);
  const auto colon = listen.rfind(':');
  const auto port =
      colon == std::string::npos ? std::nullopt : parse_port(listen.substr(colon + 1));
  if (!port || colon == 0) {
    root.problem("listen", "listen must be \"address:port\", for example \"0.0.0.0:7100\"");
  } else {
    config.host = listen.substr(0, colon);
    config.port = *port;
  }
  config.queue = read_queue(root);
  if (auto problems = toml->problems()) {
    problems->hint = "docs/broker-config.md explains every key";
    return tl::unexpected(*std::move(problems));
  }
  return config;
}

}  // namespace entente::broker
