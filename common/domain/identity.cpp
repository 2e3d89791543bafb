#include "common/domain/identity.h"

#include <fmt/format.h>

#include "common/domain/enum_names.h"

namespace entente {
namespace {

constexpr std::string_view kScheme = "spiffe://";

constexpr std::array kRoles{
    EnumName{Role::broker, "broker"},           EnumName{Role::site, "site"},
    EnumName{Role::coordinator, "coordinator"}, EnumName{Role::operator_, "operator"},
    EnumName{Role::auditor, "auditor"},
};
static_assert(in_order(kRoles));

}  // namespace

std::string_view to_string(Role role) { return name_of(kRoles, role); }

std::optional<Role> parse_role(std::string_view text) { return value_of(kRoles, text); }

std::string Identity::uri() const {
  return fmt::format("{}{}/{}/{}", kScheme, consortium.str(), to_string(role), name);
}

std::string Identity::path() const { return fmt::format("{}/{}", to_string(role), name); }

std::optional<Identity> Identity::parse_uri(std::string_view uri) {
  if (!uri.starts_with(kScheme)) {
    return std::nullopt;
  }
  uri.remove_prefix(kScheme.size());
  const auto first = uri.find('/');
  const auto second = first == std::string_view::npos ? first : uri.find('/', first + 1);
  if (second == std::string_view::npos) {
    return std::nullopt;
  }
  const auto consortium = ConsortiumId::parse(uri.substr(0, first));
  const auto role = parse_role(uri.substr(first + 1, second - first - 1));
  // A further slash, a percent sign, a query or a NUL is no part of a legal name.
  const auto name = uri.substr(second + 1);
  if (!consortium || !role || !is_name(name)) {
    return std::nullopt;
  }
  return Identity{*consortium, *role, std::string(name)};
}

}  // namespace entente
