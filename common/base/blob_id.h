// The name of a blob: the SHA-256 of its bytes. Written as 64 lower-case hex digits.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace entente {

struct BlobId {
  std::array<std::uint8_t, 32> bytes{};

  // Returns nothing unless `hex` is exactly 64 digits of [0-9a-f].
  [[nodiscard]] static std::optional<BlobId> parse(std::string_view hex);

  [[nodiscard]] std::string hex() const;
  // The first 12 hex digits: for logs and tables.
  [[nodiscard]] std::string short_hex() const { return hex().substr(0, 12); }

  auto operator<=>(const BlobId&) const = default;
};

// The SHA-256 of anything that is not a blob (a job spec, an audit row).
using Digest = BlobId;

}  // namespace entente
