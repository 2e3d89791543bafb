#include "common/net/router_port.h"

#include <cerrno>
#include <charconv>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/check.h"
#include "common/net/context.h"

namespace entente::net {
namespace {

// The session in a routing id that `attach` has made.
SessionId session_of(std::string_view routing_id) {
  SessionId session = 0;
  const auto mark = routing_id.rfind('#');
  if (mark != std::string_view::npos) {
    std::from_chars(routing_id.data() + mark + 1, routing_id.data() + routing_id.size(), session);
  }
  return session;
}

bool try_receive(zmq::socket_t& socket, zmq::message_t& part) {
  return socket.recv(part, zmq::recv_flags::dontwait).has_value();
}

}  // namespace

RouterPort::RouterPort(zmq::context_t& context) : socket_(context, zmq::socket_type::router) {
  set_common_options(socket_);
  socket_.set(zmq::sockopt::router_mandatory, true);
  socket_.set(zmq::sockopt::router_handover, false);
}

void RouterPort::attach(const SessionUp& up) {
  // libzmq aborts on a routing id that is taken; session ids are never reused.
  ENTENTE_CHECK(!peers_.contains(up.session));
  Peer peer{up.identity.path() + '#' + std::to_string(up.session), up.endpoint};
  socket_.set(zmq::sockopt::connect_routing_id, peer.routing_id);
  socket_.connect(peer.endpoint);
  peers_.emplace(up.session, std::move(peer));
}

std::vector<SessionId> RouterPort::sessions() const {
  std::vector<SessionId> sessions;
  for (const auto& [session, peer] : peers_) {
    sessions.push_back(session);
  }
  return sessions;
}

void RouterPort::detach(SessionId session) {
  const auto peer = peers_.find(session);
  if (peer == peers_.end()) {
    return;
  }
  if (auto received = read()) {
    held_.push_back(std::move(*received));
  }
  try {
    socket_.disconnect(peer->second.endpoint);
  } catch (const zmq::error_t& error) {
    // libzmq had let go of it already: it spoke no ZMTP.
    ENTENTE_CHECK(error.num() == ENOENT);
  }
  peers_.erase(peer);
}

std::optional<RouterPort::Received> RouterPort::receive() {
  while (!held_.empty()) {
    Received received = std::move(held_.front());
    held_.pop_front();
    if (peers_.contains(received.session)) {
      return received;
    }
  }
  return read();
}

std::optional<RouterPort::Received> RouterPort::read() {
  zmq::message_t routing_id;
  while (try_receive(socket_, routing_id)) {
    std::vector<zmq::message_t> parts;
    bool more = routing_id.more();
    while (more) {
      zmq::message_t part;
      // The rest of a message whose first frame is here never waits.
      ENTENTE_CHECK(try_receive(socket_, part));
      more = part.more();
      if (parts.size() <= 2) {
        parts.push_back(std::move(part));
      }
    }
    const SessionId session = session_of(routing_id.to_string_view());
    if (parts.empty() || parts.size() > 2 || !peers_.contains(session)) {
      continue;
    }
    Received received{session, Frames{std::move(parts[0]), std::nullopt}};
    if (parts.size() == 2) {
      received.frames.payload = std::move(parts[1]);
    }
    return received;
  }
  return std::nullopt;
}

bool RouterPort::send(SessionId session, Frames frames) {
  const auto peer = peers_.find(session);
  if (peer == peers_.end()) {
    return false;
  }
  const auto last = zmq::send_flags::dontwait;
  const auto more = last | zmq::send_flags::sndmore;
  try {
    zmq::message_t routing_id(peer->second.routing_id);
    if (!socket_.send(routing_id, more)) {
      return false;
    }
    if (!frames.payload) {
      return socket_.send(frames.envelope, last).has_value();
    }
    return socket_.send(frames.envelope, more).has_value() &&
           socket_.send(*frames.payload, last).has_value();
  } catch (const zmq::error_t& error) {
    if (error.num() == EHOSTUNREACH) {
      return false;
    }
    throw;
  }
}

}  // namespace entente::net
