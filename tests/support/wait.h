// Waiting for what other processes do: by looking, up to a limit that a loaded machine keeps too.
#pragma once

#include <chrono>
#include <functional>
#include <string>

namespace entente::integration {

// Never reached on a machine that is not stuck.
constexpr std::chrono::seconds kPatience{60};

// Throws std::runtime_error, naming `what`, when `is_so` is still false after `limit`.
void wait_until(const std::string& what, const std::function<bool()>& is_so,
                std::chrono::milliseconds limit = kPatience);

}  // namespace entente::integration
