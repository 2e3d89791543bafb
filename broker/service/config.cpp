#include "broker/service/config.h"

#include <charconv>
#include <optional>

#include "common/config/toml_table.h"

namespace entente::broker {
namespace {

constexpr const char* kListenDefault = "0.0.0.0:7100";

std::optional<std::uint16_t> parse_port(std::string_view text) {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || end != text.data() + text.size()) {
    return std::nullopt;
  }
  return port;
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
  if (auto problems = toml->problems()) {
    problems->hint = "docs/broker-config.md explains every key";
    return tl::unexpected(*std::move(problems));
  }
  return config;
}

}  // namespace entente::broker
