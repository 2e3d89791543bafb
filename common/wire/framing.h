// Bytes to Cap'n Proto messages and back, within bounds.
//
// Two forms. Framed: Cap'n Proto's standard stream framing, for envelopes. Flat: the canonical
// encoding, one segment without a segment table, for stored forms and digests.
//
// A reader of hostile bytes is bounded in every direction: input size, number of segments, nesting,
// and the words it may visit, so that pointers that share their targets, or lists of empty structs,
// cannot make a small message large. Input of any alignment is copied to aligned words first.
#pragma once

#include <capnp/common.h>
#include <capnp/message.h>
#include <capnp/serialize.h>
#include <kj/array.h>
#include <kj/exception.h>

#include <cstddef>
#include <span>

#include "common/base/refusal.h"
#include "common/wire/checks.h"
#include "common/wire/control_codec.h"

namespace entente::wire {

// The deepest legal message has about a dozen levels (a reply's job view's layer's attribute).
constexpr int kNestingMax = 24;
// An encoder doubles its segments, so that even the largest message has fewer.
constexpr std::uint32_t kSegmentsMax = 64;

// A copy of `bytes` as aligned words. Illegal when empty, larger than `bytes_max`, or cut within a
// word.
[[nodiscard]] kj::Array<capnp::word> aligned_words(std::span<const std::byte> bytes,
                                                   std::size_t bytes_max);

[[nodiscard]] capnp::ReaderOptions reader_options(std::size_t words);

// Illegal unless the segment table is there and within kSegmentsMax.
void check_segments(kj::ArrayPtr<const capnp::word> words);

[[nodiscard]] Bytes to_bytes(kj::ArrayPtr<const capnp::word> words);
[[nodiscard]] Bytes framed_bytes(capnp::MessageBuilder& message);

[[nodiscard]] Refusal invalid(std::string_view sentence);
[[nodiscard]] Refusal unknown(std::string_view sentence);

// The result of `body`, or what it threw as a refusal.
template <class T, class Body>
Expected<T> refusing(Body body) {
  try {
    return body();
  } catch (const Illegal& fault) {
    return tl::unexpected(invalid(fault.sentence));
  } catch (const Unknown& fault) {
    return tl::unexpected(unknown(fault.sentence));
  } catch (const kj::Exception& fault) {
    return tl::unexpected(invalid(fault.getDescription().cStr()));
  }
}

// Calls `read` with the message's root.
template <class T, class Root, class Read>
Expected<T> decode_framed(std::span<const std::byte> bytes, std::size_t bytes_max, Read read) {
  return refusing<T>([&]() -> T {
    const auto words = aligned_words(bytes, bytes_max);
    check_segments(words);
    capnp::FlatArrayMessageReader message(words, reader_options(words.size()));
    if (message.getEnd() != words.end()) {
      illegal("the message", "is followed by other bytes");
    }
    return read(message.getRoot<Root>());
  });
}

template <class T, class Root, class Read>
Expected<T> decode_flat(std::span<const std::byte> bytes, std::size_t bytes_max, Read read) {
  return refusing<T>([&]() -> T {
    const auto words = aligned_words(bytes, bytes_max);
    const kj::ArrayPtr<const capnp::word> segments[] = {words};
    capnp::SegmentArrayMessageReader message(segments, reader_options(words.size()));
    return read(message.getRoot<Root>());
  });
}

// The canonical bytes of a struct that `write` fills in.
template <class Root, class Write>
Bytes encode_flat(Write write) {
  capnp::MallocMessageBuilder message;
  auto root = message.initRoot<Root>();
  write(root);
  return to_bytes(capnp::canonicalize(root.asReader()));
}

}  // namespace entente::wire
