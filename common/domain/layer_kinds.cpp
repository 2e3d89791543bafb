#include "common/domain/layer_kinds.h"

#include <fmt/format.h>

#include <algorithm>

#include "common/domain/layers.h"

namespace entente {

std::optional<LayerFault> check_inferred(LayerAttributes& attributes, const std::string& name,
                                         std::int64_t actual, const Shape& input) {
  const auto given = attributes.infer(name, actual);
  if (given == actual) {
    return std::nullopt;
  }
  return LayerFault{fmt::format("{} is {}, but it gets {}", name, given, to_string(input)),
                    fmt::format("set {} to {} or leave it out", name, actual)};
}

const LayerKind* find_layer_kind(std::string_view name) {
  for (const auto kinds : {dense_layer_kinds(), image_layer_kinds(), sequence_layer_kinds()}) {
    const auto found = std::find_if(kinds.begin(), kinds.end(),
                                    [&](const LayerKind& kind) { return kind.name == name; });
    if (found != kinds.end()) {
      return &*found;
    }
  }
  return nullptr;
}

std::vector<std::string> layer_kinds() {
  std::vector<std::string> names;
  for (const auto kinds : {dense_layer_kinds(), image_layer_kinds(), sequence_layer_kinds()}) {
    for (const auto& kind : kinds) {
      names.emplace_back(kind.name);
    }
  }
  names.emplace_back(kResidual);
  return names;
}

std::vector<std::string> layer_attributes(std::string_view kind) {
  const LayerKind* found = find_layer_kind(kind);
  return found == nullptr ? std::vector<std::string>() : attribute_names(found->attributes);
}

}  // namespace entente
