// A message in the words of a trace line.
#pragma once

#include <string>

#include "common/domain/messages.h"

namespace entente::simulation {

[[nodiscard]] std::string text_of(const msg::Control& message);
[[nodiscard]] std::string text_of(const TaskKey& key);

}  // namespace entente::simulation
