#include "common/wire/checks.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "common/base/limits.h"
#include "common/base/prose.h"

namespace entente::wire {

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

BlobId digest(std::span<const std::uint8_t> bytes, std::string_view what) {
  BlobId id;
  if (bytes.size() != id.bytes.size()) {
    illegal(what, fmt::format("is {} bytes long, not {}", bytes.size(), id.bytes.size()));
  }
  std::ranges::copy(bytes, id.bytes.begin());
  return id;
}

}  // namespace entente::wire
