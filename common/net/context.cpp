#include "common/net/context.h"

#include <sys/resource.h>

#include <chrono>
#include <limits>

#include "common/base/limits.h"
#include "common/runtime/log.h"

namespace entente::net {
namespace {

int millis(std::chrono::milliseconds duration) { return static_cast<int>(duration.count()); }

}  // namespace

void set_common_options(zmq::socket_t& socket) {
  using namespace zmq;
  socket.set(sockopt::linger, millis(limits::kLinger));
  // The bound of the larger plane; the frame guard holds each plane to its own.
  socket.set(sockopt::maxmsgsize, static_cast<std::int64_t>(limits::kFrameBytesMax));
  socket.set(sockopt::handshake_ivl, millis(limits::kHandshakeMax));
  socket.set(sockopt::heartbeat_ivl, millis(limits::kHeartbeatEvery));
  socket.set(sockopt::heartbeat_timeout, millis(limits::kHeartbeatTimeout));
  socket.set(sockopt::heartbeat_ttl, millis(limits::kHeartbeatTimeout));
  socket.set(sockopt::sndhwm, limits::kPeerMessagesMax);
  socket.set(sockopt::rcvhwm, limits::kPeerMessagesMax);
  // Never, for -1 would drop the pipe at that moment: the messages in it, and the process
  // (router_port.h).
  socket.set(sockopt::reconnect_ivl, std::numeric_limits<int>::max());
}

void raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max) {
    return;
  }
  limit.rlim_cur = limit.rlim_max;
  if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) {
    log::warning("descriptor_limit",
                 "the limit of open descriptors could not be raised; raise it in the service's "
                 "unit (LimitNOFILE) if sessions are refused");
  }
}

}  // namespace entente::net
