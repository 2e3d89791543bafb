// The process's ZeroMQ context and the socket options that both sides share (limits.h).
#pragma once

#include <zmq.hpp>

namespace entente::net {

// Sets LINGER, MAXMSGSIZE, HANDSHAKE_IVL, heartbeats, high-water marks and RECONNECT_IVL = -1.
void set_common_options(zmq::socket_t& socket);

// Raises the soft limit of open descriptors to the hard one: a session needs three.
void raise_descriptor_limit();

}  // namespace entente::net
