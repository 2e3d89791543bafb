// Reads ZMTP frame headers on a decrypted stream and says when a peer breaks the message bounds.
//
// libzmq limits one frame (MAXMSGSIZE) but collects the frames of a multipart message without a
// bound; a peer that never ends one would fill the memory. The guard refuses a third frame in one
// message, and any frame longer than the plane allows, before the bytes reach libzmq. It follows
// ZMTP 3.1 (rfc.zeromq.org/spec/37): a 64-byte greeting, then frames of flags (more 1, long 2,
// command 4), a length of 1 or 8 bytes big-endian, and a body.
//
// The greeting must be that of ZMTP 3 without a security mechanism: libzmq would also speak the
// older versions, whose frames begin elsewhere, and the guard would then read other frames than it.
//
// Pure; one guard per direction and session.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

namespace entente::net {

class FrameGuard {
 public:
  FrameGuard(std::size_t frame_bytes_max, std::size_t frames_per_message_max)
      : frame_bytes_max_(frame_bytes_max), frames_per_message_max_(frames_per_message_max) {}

  // Consumes the next bytes of the stream, cut anywhere. Returns the violation, after which the
  // session must be closed without forwarding these bytes.
  [[nodiscard]] std::optional<std::string> consume(std::span<const std::byte> bytes);

  // Messages whose last byte has been consumed; commands are none.
  [[nodiscard]] std::uint64_t messages() const { return messages_; }

 private:
  enum class Expecting : std::uint8_t { greeting, flags, length, body };

  [[nodiscard]] std::optional<std::string> read_greeting(std::uint8_t byte);
  [[nodiscard]] std::optional<std::string> read_flags(std::uint8_t byte);
  [[nodiscard]] std::optional<std::string> read_length(std::uint8_t byte);
  void end_frame();

  std::size_t frame_bytes_max_;
  std::size_t frames_per_message_max_;
  Expecting expecting_ = Expecting::greeting;
  std::uint64_t remaining_ = 64;  // bytes of what is expected
  std::uint64_t length_ = 0;
  std::uint8_t flags_ = 0;
  std::size_t frames_in_message_ = 0;
  std::uint64_t messages_ = 0;
};

}  // namespace entente::net
