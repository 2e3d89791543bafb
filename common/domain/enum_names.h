// The words of an enumeration: one table per enum, read in both directions, so that what is written
// to a database, a message or a terminal is what is accepted back.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string_view>

#include "common/base/check.h"

namespace entente {

template <class Enum>
struct EnumName {
  Enum value;
  std::string_view name;
};

// True when row i holds enumerator i: nothing is missing in the middle, double, or out of order.
template <class Enum, std::size_t N>
[[nodiscard]] constexpr bool in_order(const std::array<EnumName<Enum>, N>& names) {
  for (std::size_t i = 0; i < N; ++i) {
    if (static_cast<std::size_t>(names[i].value) != i) {
      return false;
    }
  }
  return true;
}

// Values that are no enumerator never leave the decoders, so one that arrives here is a bug.
template <class Enum, std::size_t N>
[[nodiscard]] std::string_view name_of(const std::array<EnumName<Enum>, N>& names, Enum value) {
  const auto index = static_cast<std::size_t>(value);
  ENTENTE_CHECK(index < N);
  return names[index].name;
}

template <class Enum, std::size_t N>
[[nodiscard]] std::optional<Enum> value_of(const std::array<EnumName<Enum>, N>& names,
                                           std::string_view name) {
  for (const auto& row : names) {
    if (row.name == name) {
      return row.value;
    }
  }
  return std::nullopt;
}

}  // namespace entente
