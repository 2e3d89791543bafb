#include "common/net/frame_guard.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace entente::net {
namespace {

constexpr std::uint8_t kMore = 1;
constexpr std::uint8_t kLong = 2;
constexpr std::uint8_t kCommand = 4;

constexpr std::size_t kGreetingBytes = 64;
constexpr std::array<std::uint8_t, 20> kMechanism{'N', 'U', 'L', 'L'};

// What the greeting must hold at `position`; nothing where any byte will do (padding, the minor
// version, the as-server flag and the filler).
std::optional<std::uint8_t> greeting_byte(std::size_t position) {
  constexpr std::size_t kMechanismAt = 12;
  switch (position) {
    case 0:
      return 0xff;
    case 9:
      return 0x7f;
    case 10:
      return 3;
  }
  if (position >= kMechanismAt && position < kMechanismAt + kMechanism.size()) {
    return kMechanism[position - kMechanismAt];
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::string> FrameGuard::consume(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    if (expecting_ == Expecting::body) {
      const auto skipped = std::min<std::uint64_t>(remaining_, bytes.size());
      bytes = bytes.subspan(skipped);
      remaining_ -= skipped;
      if (remaining_ == 0) {
        end_frame();
      }
      continue;
    }
    const auto byte = static_cast<std::uint8_t>(bytes.front());
    bytes = bytes.subspan(1);
    auto violation = expecting_ == Expecting::greeting ? read_greeting(byte)
                     : expecting_ == Expecting::flags  ? read_flags(byte)
                                                       : read_length(byte);
    if (violation) {
      return violation;
    }
  }
  return std::nullopt;
}

std::optional<std::string> FrameGuard::read_greeting(std::uint8_t byte) {
  const auto expected = greeting_byte(kGreetingBytes - remaining_);
  if (expected && *expected != byte) {
    return "the stream does not begin with a ZMTP 3 greeting";
  }
  if (--remaining_ == 0) {
    expecting_ = Expecting::flags;
  }
  return std::nullopt;
}

std::optional<std::string> FrameGuard::read_flags(std::uint8_t byte) {
  const bool known = (byte & ~(kMore | kLong | kCommand)) == 0;
  if (!known || ((byte & kCommand) != 0 && (byte & kMore) != 0)) {
    return fmt::format("a frame has the illegal flags 0x{:02x}", byte);
  }
  flags_ = byte;
  if ((flags_ & kCommand) == 0 && ++frames_in_message_ > frames_per_message_max_) {
    return fmt::format("a message has more than {} frames", frames_per_message_max_);
  }
  expecting_ = Expecting::length;
  remaining_ = (flags_ & kLong) != 0 ? 8 : 1;
  length_ = 0;
  return std::nullopt;
}

std::optional<std::string> FrameGuard::read_length(std::uint8_t byte) {
  length_ = (length_ << 8) | byte;
  if (--remaining_ > 0) {
    return std::nullopt;
  }
  if (length_ > frame_bytes_max_) {
    return fmt::format("a frame has {} bytes, allowed are {}", length_, frame_bytes_max_);
  }
  expecting_ = Expecting::body;
  remaining_ = length_;
  if (remaining_ == 0) {
    end_frame();
  }
  return std::nullopt;
}

void FrameGuard::end_frame() {
  expecting_ = Expecting::flags;
  if ((flags_ & (kMore | kCommand)) == 0) {
    frames_in_message_ = 0;
    ++messages_;
  }
}

}  // namespace entente::net
