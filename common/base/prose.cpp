#include "common/base/prose.h"

#include <algorithm>

#include "common/base/limits.h"

namespace entente {
namespace {

struct Character {
  std::size_t bytes = 1;
  bool legal = false;  // well-formed UTF-8 and no control character
};

constexpr bool is_control(char32_t c) { return c < 0x20 || (c >= 0x7f && c < 0xa0); }

// The character at the start of `text`, which is not empty. Well-formedness follows the Unicode
// Standard, table 3-7: no overlong forms, no surrogates, nothing above U+10FFFF.
Character next_character(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) {
    return {1, !is_control(lead)};
  }
  const std::size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() < length) {
    return {1, false};
  }
  char32_t c = lead & (0xffU >> (length + 1));
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0U) != 0x80U) {
      return {1, false};
    }
    c = (c << 6U) | (byte(i) & 0x3fU);
  }
  constexpr char32_t kSmallest[] = {0, 0, 0x80, 0x800, 0x10000};
  if (c < kSmallest[length] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff)) {
    return {1, false};
  }
  return {length, !is_control(c)};
}

}  // namespace

bool is_plain_text(std::string_view text) {
  while (!text.empty()) {
    const Character c = next_character(text);
    if (!c.legal) {
      return false;
    }
    text.remove_prefix(c.bytes);
  }
  return true;
}

std::string prose(std::string_view text) {
  std::string clean;
  clean.reserve(std::min(text.size(), limits::kPeerTextBytesMax));
  while (!text.empty()) {
    const Character c = next_character(text);
    const bool keep = c.legal || text.front() == '\n' || text.front() == '\t';
    if (clean.size() + (keep ? c.bytes : 1) > limits::kPeerTextBytesMax) {
      break;
    }
    if (keep) {
      clean.append(text.substr(0, c.bytes));
    } else {
      clean.push_back('?');
    }
    text.remove_prefix(c.bytes);
  }
  return clean;
}

}  // namespace entente
