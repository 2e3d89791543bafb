#include "common/domain/name_patterns.h"

#include <algorithm>
#include <cstddef>

namespace entente {
namespace {

void collect_parameters(const std::vector<ResolvedLayer>& layers, std::vector<std::string>& names) {
  for (const auto& layer : layers) {
    for (const auto& parameter : layer.parameters) {
      names.push_back(parameter.name);
    }
    collect_parameters(layer.layers, names);
    collect_parameters(layer.shortcut, names);
  }
}

}  // namespace

// Only the last * ever has to be widened, so the time is at most the product of both lengths.
bool matches(std::string_view pattern, std::string_view name) {
  std::size_t p = 0;
  std::size_t t = 0;
  std::size_t star = std::string_view::npos;
  std::size_t star_ends = 0;
  while (t < name.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      star_ends = t;
    } else if (p < pattern.size() && pattern[p] == name[t]) {
      ++p;
      ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++star_ends;
    } else {
      return false;
    }
  }
  return pattern.find_first_not_of('*', p) == std::string_view::npos;
}

bool matches_any(const std::vector<std::string>& patterns, std::string_view name) {
  return std::any_of(patterns.begin(), patterns.end(),
                     [&](const std::string& pattern) { return matches(pattern, name); });
}

std::vector<std::string> parameter_names(const ResolvedModel& model) {
  std::vector<std::string> names;
  collect_parameters(model.layers, names);
  return names;
}

}  // namespace entente
