#include "common/base/blob_id.h"

namespace entente {
namespace {

constexpr std::string_view kHexDigits = "0123456789abcdef";

}  // namespace

std::optional<BlobId> BlobId::parse(std::string_view hex) {
  BlobId id;
  if (hex.size() != 2 * id.bytes.size()) {
    return std::nullopt;
  }
  for (std::size_t i = 0; i < hex.size(); ++i) {
    const auto value = kHexDigits.find(hex[i]);
    if (value == std::string_view::npos) {
      return std::nullopt;
    }
    id.bytes[i / 2] = static_cast<std::uint8_t>(id.bytes[i / 2] << 4 | value);
  }
  return id;
}

std::string BlobId::hex() const {
  std::string text;
  text.reserve(2 * bytes.size());
  for (const auto byte : bytes) {
    text += kHexDigits[byte >> 4];
    text += kHexDigits[byte & 0x0f];
  }
  return text;
}

}  // namespace entente
