// The identifiers of the domain, as types that cannot be mixed up.
//
// Names (`SiteId`, `JobId`, `ConsortiumId`) are 1 to 63 bytes of [a-z0-9.-], starting and ending
// with a letter or a digit, so that they are safe in a certificate URI, a file name, a log line and
// a terminal. `parse` is the only way to make one from outside text.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace entente {

// True when `text` is a legal name as described above.
[[nodiscard]] bool is_name(std::string_view text);

template <class Tag>
class Name {
 public:
  Name() = default;

  // Returns nothing when `text` is not a legal name.
  [[nodiscard]] static std::optional<Name> parse(std::string_view text) {
    if (!is_name(text)) {
      return std::nullopt;
    }
    return Name(text);
  }

  // For a literal of our own: a malformed one is a bug and aborts.
  [[nodiscard]] static Name literal(std::string_view text);

  [[nodiscard]] const std::string& str() const { return text_; }
  [[nodiscard]] bool empty() const { return text_.empty(); }
  auto operator<=>(const Name&) const = default;

 private:
  explicit Name(std::string_view text) : text_(text) {}
  std::string text_;
};

// Shared by all instances of Name::literal; aborts unless `text` is a legal name.
void check_name_literal(std::string_view text);

template <class Tag>
Name<Tag> Name<Tag>::literal(std::string_view text) {
  check_name_literal(text);
  return Name(text);
}

using SiteId = Name<struct SiteTag>;
using JobId = Name<struct JobTag>;
using ConsortiumId = Name<struct ConsortiumTag>;

// Round 0 is the state before training: its model is the initial one. Training rounds count from 1.
using Round = std::uint32_t;

// Counts the tries of one task at one site, from 1.
using Attempt = std::uint32_t;

// A connection as the broker counts them; never reused within one broker process.
using SessionId = std::uint64_t;

}  // namespace entente

template <class Tag>
struct std::hash<entente::Name<Tag>> {
  std::size_t operator()(const entente::Name<Tag>& name) const noexcept {
    return std::hash<std::string>{}(name.str());
  }
};
