// What every value from a peer has to pass, and the bounds that belong to the protocol alone (the
// others are in base/limits.h).
//
// Reading a message is straight-line code without a branch per field: a check that fails throws
// Illegal, as Cap'n Proto throws kj::Exception when the bytes themselves are wrong. framing.h turns
// both into a Refusal; neither leaves common/wire.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "common/base/blob_id.h"
#include "common/base/ids.h"

namespace entente::wire {

// A data envelope is a few numbers, or a Hello, or a refusal with two sentences.
constexpr std::size_t kDataEnvelopeBytesMax = 64 << 10;
// Names and labels that are no Name: datasets, metrics, layers, versions, capabilities.
constexpr std::size_t kLabelBytesMax = 255;
constexpr std::size_t kRefusalCodeBytesMax = 64;
constexpr std::size_t kCapabilitiesMax = 64;
constexpr std::size_t kAttributesMax = 64;
constexpr std::size_t kParametersPerStrategyMax = 64;
// Rows of a list that nothing else bounds: more of them would not fit into a control message.
constexpr std::size_t kRowsMax = 32'768;
// Beyond this a machine is misconfigured.
constexpr std::uint32_t kSlotsMax = 4096;
// Ten years: longer than any job, far from overflow in any unit.
constexpr std::int64_t kDurationMsMax = std::int64_t{10} * 366 * 24 * 3600 * 1000;

// A message breaks a rule of its schema.
struct Illegal {
  std::string sentence;
};

// A message is of a kind that a newer build has.
struct Unknown {
  std::string sentence;
};

[[noreturn]] void illegal(std::string_view what, std::string_view rule);

// `what` names the value in the refusal's sentence, by its path in the schema ("task.round").
void check_count(std::size_t count, std::size_t max, std::string_view what);

[[nodiscard]] std::uint64_t at_most(std::uint64_t value, std::uint64_t max, std::string_view what);
[[nodiscard]] std::uint32_t at_most_32(std::uint32_t value, std::uint32_t max,
                                       std::string_view what);
[[nodiscard]] double finite(double value, std::string_view what);
[[nodiscard]] std::int64_t duration_ms(std::int64_t value, std::string_view what);

// A legal Name that the domain keeps as text.
[[nodiscard]] std::string name_text(std::string_view text, std::string_view what);
[[nodiscard]] std::string name_text_or_empty(std::string_view text, std::string_view what);

template <class NameType>
NameType read_name(std::string_view text, std::string_view what) {
  auto name = NameType::parse(text);
  if (!name) {
    illegal(what, "is not 1 to 63 bytes of [a-z0-9.-] between letters or digits");
  }
  return *std::move(name);
}

// Up to kLabelBytesMax bytes of UTF-8 without control characters.
[[nodiscard]] std::string label(std::string_view text, std::string_view what);
[[nodiscard]] std::string label_or_empty(std::string_view text, std::string_view what);

// 1 to kRefusalCodeBytesMax bytes of [a-z0-9_].
[[nodiscard]] std::string refusal_code(std::string_view text);

// Exactly 32 bytes.
[[nodiscard]] BlobId digest(std::span<const std::uint8_t> bytes, std::string_view what);

}  // namespace entente::wire
