// One protocol message on a ZeroMQ socket: an envelope and, on the data plane, a raw payload.
// Bulk bytes are never inside the envelope, so a chunk goes from socket to file without a copy.
#pragma once

#include <optional>
#include <zmq.hpp>

namespace entente::net {

struct Frames {
  zmq::message_t envelope;
  std::optional<zmq::message_t> payload;
};

}  // namespace entente::net
