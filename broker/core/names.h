// Names in a sentence: "east, north and west"; of many only some: "east, north and 98 more".
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <vector>

namespace entente::broker {

constexpr std::size_t kNamesMax = 20;

template <class Id>
[[nodiscard]] std::string names(const std::vector<Id>& ids, std::size_t max = kNamesMax) {
  const auto named = std::min(ids.size(), max);
  std::string text;
  for (std::size_t i = 0; i < named; ++i) {
    text += i == 0 ? "" : i + 1 == ids.size() ? " and " : ", ";
    text += ids[i].str();
  }
  if (named < ids.size()) {
    text += " and " + std::to_string(ids.size() - named) + " more";
  }
  return text;
}

}  // namespace entente::broker
