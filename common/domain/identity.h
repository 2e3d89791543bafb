// Who is at the other end of a connection, read from the certificate and nowhere else.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/ids.h"

namespace entente {

enum class Role : std::uint8_t { broker, site, coordinator, operator_, auditor };

struct Identity {
  ConsortiumId consortium;
  Role role = Role::site;
  std::string name;  // a legal Name

  // "spiffe://<consortium>/<role>/<name>", the certificate's one URI SAN.
  [[nodiscard]] std::string uri() const;
  // "site/north": unique within the consortium; for logs, routing ids and the database.
  [[nodiscard]] std::string path() const;
  // Returns nothing unless `uri` has exactly the form above with legal names.
  [[nodiscard]] static std::optional<Identity> parse_uri(std::string_view uri);

  auto operator<=>(const Identity&) const = default;
};

[[nodiscard]] std::string_view to_string(Role role);
[[nodiscard]] std::optional<Role> parse_role(std::string_view text);

}  // namespace entente
