// Numbers with a unit, as people write them in files and on command lines.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "common/base/time.h"

namespace entente {

// "500ms", "90s", "5m", "2h", "1d"; nothing for any other text, and for one too long to count.
[[nodiscard]] std::optional<Millis> parse_duration(std::string_view text);

// "512B", "500MB", "16GB" in powers of 1000, "2GiB" in powers of 1024; nothing for any other text.
[[nodiscard]] std::optional<std::uint64_t> parse_bytes(std::string_view text);

}  // namespace entente
