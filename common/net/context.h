// The process's ZeroMQ context and the socket options that both sides share (limits.h).
#pragma once

#include <zmq.hpp>

namespace entente::net {

// Sets LINGER, MAXMSGSIZE, HANDSHAKE_IVL, heartbeats and high-water marks.
//
// A socket whose other end has left stays connected in libzmq's eyes until its owner lets go of it,
// and what had arrived can still be read: the other end is a TLS session, which never comes back.
void set_common_options(zmq::socket_t& socket);

// Raises the soft limit of open descriptors to the hard one: a session needs three.
void raise_descriptor_limit();

}  // namespace entente::net
