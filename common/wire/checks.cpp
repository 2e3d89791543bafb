#include "common/wire/checks.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "common/base/limits.h"

namespace entente::wire {
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

}  // namespace

void illegal(std::string_view what, std::string_view rule) {
  throw Illegal{fmt::format("{} {}", what, rule)};
}

void check_count(std::size_t count, std::size_t max, std::string_view what) {
  if (count > max) {
    illegal(what, fmt::format("has {} entries, more than {}", count, max));
  }
}

std::uint64_t at_most(std::uint64_t value, std::uint64_t max, std::string_view what) {
  if (value > max) {
    illegal(what, fmt::format("is {}, more than {}", value, max));
  }
  return value;
}

std::uint32_t at_most_32(std::uint32_t value, std::uint32_t max, std::string_view what) {
  return static_cast<std::uint32_t>(at_most(value, max, what));
}

double finite(double value, std::string_view what) {
  if (!std::isfinite(value)) {
    illegal(what, "is not a finite number");
  }
  return value;
}

std::int64_t duration_ms(std::int64_t value, std::string_view what) {
  if (value < 0 || value > kDurationMsMax) {
    illegal(what, fmt::format("is {} ms, not between 0 and ten years", value));
  }
  return value;
}

std::string name_text(std::string_view text, std::string_view what) {
  return read_name<Name<struct AnyTag>>(text, what).str();
}

std::string name_text_or_empty(std::string_view text, std::string_view what) {
  return text.empty() ? std::string() : name_text(text, what);
}

std::string label(std::string_view text, std::string_view what) {
  if (text.empty()) {
    illegal(what, "is empty");
  }
  return label_or_empty(text, what);
}

std::string label_or_empty(std::string_view text, std::string_view what) {
  if (text.size() > kLabelBytesMax) {
    illegal(what, fmt::format("is {} bytes long, more than {}", text.size(), kLabelBytesMax));
  }
  if (!is_plain_text(text)) {
    illegal(what, "is not UTF-8 without control characters");
  }
  return std::string(text);
}

std::string refusal_code(std::string_view text) {
  const auto legal = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
  };
  if (text.empty() || text.size() > kRefusalCodeBytesMax || !std::ranges::all_of(text, legal)) {
    illegal("refusal.code", fmt::format("is not 1 to {} bytes of [a-z0-9_]", kRefusalCodeBytesMax));
  }
  return std::string(text);
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

BlobId digest(std::span<const std::uint8_t> bytes, std::string_view what) {
  BlobId id;
  if (bytes.size() != id.bytes.size()) {
    illegal(what, fmt::format("is {} bytes long, not {}", bytes.size(), id.bytes.size()));
  }
  std::ranges::copy(bytes, id.bytes.begin());
  return id;
}

}  // namespace entente::wire
