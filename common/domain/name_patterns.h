// Names of tensors by pattern: each * of a pattern stands for any characters. "features.*" is every
// tensor of the layer or block "features", "*.bias" every bias.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/domain/layers.h"

namespace entente {

[[nodiscard]] bool matches(std::string_view pattern, std::string_view name);
[[nodiscard]] bool matches_any(const std::vector<std::string>& patterns, std::string_view name);

// The tensors of a model that training moves; the others are buffers.
[[nodiscard]] std::vector<std::string> parameter_names(const ResolvedModel& model);

}  // namespace entente
