#include "common/wire/framing.h"

#include <fmt/format.h>

#include <cstring>

#include "common/base/limits.h"
#include "common/base/prose.h"

namespace entente::wire {

kj::Array<capnp::word> aligned_words(std::span<const std::byte> bytes, std::size_t bytes_max) {
  if (bytes.empty()) {
    illegal("the message", "is empty");
  }
  if (bytes.size() > bytes_max) {
    illegal("the message", fmt::format("has {} bytes, more than {}", bytes.size(), bytes_max));
  }
  if (bytes.size() % sizeof(capnp::word) != 0) {
    illegal("the message", "is cut off");
  }
  auto words = kj::heapArray<capnp::word>(bytes.size() / sizeof(capnp::word));
  std::memcpy(words.begin(), bytes.data(), bytes.size());
  return words;
}

capnp::ReaderOptions reader_options(std::size_t words) {
  capnp::ReaderOptions options;
  // An honest reader visits each word once. The slack is for structs without any word, which count
  // as one.
  options.traversalLimitInWords = 2 * words + 64;
  options.nestingLimit = kNestingMax;
  return options;
}

void check_segments(kj::ArrayPtr<const capnp::word> words) {
  std::uint32_t segments_less_one = 0;  // little-endian, as the machines we run on
  std::memcpy(&segments_less_one, words.begin(), sizeof segments_less_one);
  if (segments_less_one >= kSegmentsMax) {
    illegal("the message", fmt::format("has more than {} segments", kSegmentsMax));
  }
}

Bytes to_bytes(kj::ArrayPtr<const capnp::word> words) {
  const auto bytes = words.asBytes();
  return Bytes(reinterpret_cast<const char*>(bytes.begin()), bytes.size());
}

Bytes framed_bytes(capnp::MessageBuilder& message) {
  return to_bytes(capnp::messageToFlatArray(message));
}

Refusal invalid(std::string_view sentence) {
  return Refusal{"message_invalid",
                 fmt::format("a message is not legal: {}", prose(sentence)),
                 {},
                 Scope::site};
}

Refusal unknown(std::string_view sentence) {
  return Refusal{"message_unknown", std::string(sentence),
                 "the peer's software is newer; update this one", Scope::site};
}

}  // namespace entente::wire
