// Data-plane messages to and from the frames that carry them.
#pragma once

#include <optional>
#include <span>
#include <utility>
#include <zmq.hpp>

#include "common/base/refusal.h"
#include "common/domain/messages.h"
#include "common/net/frames.h"
#include "common/wire/control_codec.h"

namespace entente {

[[nodiscard]] inline net::Frames to_frames(const msg::Data& message,
                                           std::optional<zmq::message_t> payload = {}) {
  const wire::Bytes envelope = wire::encode(message);
  return net::Frames{zmq::message_t(envelope.data(), envelope.size()), std::move(payload)};
}

[[nodiscard]] inline std::span<const std::byte> bytes_of(const zmq::message_t& message) {
  return {message.data<std::byte>(), message.size()};
}

[[nodiscard]] inline Expected<msg::Data> message_of(const net::Frames& frames) {
  return wire::decode_data(bytes_of(frames.envelope));
}

}  // namespace entente
