#include "tests/simulation/network.h"

#include <algorithm>
#include <memory>

#include "common/base/limits.h"

namespace entente::simulation {

void Network::dial(Peer& peer) {
  world_.timeline.after(latency(), [this, &peer, life = peer.life()] {
    if (peer.life() != life || !peer.is_alive()) {
      return;
    }
    if (broker_->is_awake() && reaches(peer)) {
      establish(peer);
    } else {
      peer.dial_failed();
    }
  });
}

void Network::establish(Peer& peer) {
  const SessionId id = ++last_;
  Session session;
  session.peer = &peer;
  session.life = peer.life();
  session.up_busy_until = session.down_busy_until = world_.timeline.now();
  sessions_.emplace(id, session);
  broker_->session_opened(id, peer.identity());
  world_.timeline.after(latency(), [this, id] {
    auto* found = find(id);
    if (found->peer->life() != found->life || !found->peer->is_alive()) {
      return;
    }
    if (found->carries_down) {
      found->peer->session_opened(id);
    } else {
      found->peer->dial_failed();  // its end came before its beginning was noticed
    }
  });
}

Network::Session* Network::find(SessionId id) {
  const auto found = sessions_.find(id);
  return found == sessions_.end() ? nullptr : &found->second;
}

void Network::to_broker(SessionId id, msg::Control message) {
  auto* session = find(id);
  if (session == nullptr || !session->carries_up) {
    return;
  }
  session->up_busy_until = std::max(session->up_busy_until, world_.timeline.now() + latency());
  world_.timeline.at(session->up_busy_until, [this, id, message = std::move(message)] {
    const auto* found = find(id);
    if (found != nullptr && found->carries_up && broker_->is_alive()) {
      broker_->hear(id, message);
    }
  });
}

void Network::to_peer(SessionId id, msg::Control message) {
  auto* session = find(id);
  if (session == nullptr || !session->carries_down) {
    return;
  }
  session->down_busy_until = std::max(session->down_busy_until, world_.timeline.now() + latency());
  world_.timeline.at(session->down_busy_until, [this, id, message = std::move(message)] {
    const auto* found = find(id);
    if (found != nullptr && found->carries_down && found->peer->life() == found->life) {
      found->peer->hear(id, message);
    }
  });
}

void Network::hang_up_peer(SessionId id) {
  if (auto* session = find(id)) {
    session->carries_down = false;
    const auto drained = session->up_busy_until - world_.timeline.now();
    notice_at_broker(id, std::max(drained, Millis(0)) + latency());
  }
}

void Network::hang_up_broker(SessionId id) {
  if (auto* session = find(id)) {
    session->carries_up = false;
    const auto drained = session->down_busy_until - world_.timeline.now();
    notice_at_peer(id, std::max(drained, Millis(0)) + latency());
    notice_at_broker(id, latency());
  }
}

void Network::cut(SessionId id) {
  if (auto* session = find(id)) {
    session->carries_up = session->carries_down = false;
    notice_at_broker(id, detection());
    notice_at_peer(id, detection());
  }
}

void Network::cut(const Peer& peer) {
  for (const auto id : sessions_of(&peer)) {
    cut(id);
  }
}

void Network::cut_all() {
  for (const auto id : sessions_of(nullptr)) {
    cut(id);
  }
}

void Network::peer_died(const Peer& peer) {
  for (const auto id : sessions_of(&peer)) {
    auto* session = find(id);
    session->carries_up = session->carries_down = false;
    notice_at_broker(id, detection());
  }
}

void Network::broker_died() {
  for (const auto id : sessions_of(nullptr)) {
    auto* session = find(id);
    session->carries_up = session->carries_down = false;
    notice_at_peer(id, detection());
  }
}

void Network::broker_is_silent() {
  for (const auto id : sessions_of(nullptr)) {
    hang_up_peer(id);
    notice_at_peer(id, latency());
  }
}

void Network::partition(const Peer& peer) {
  unreachable_.insert(&peer);
  cut(peer);
}

// A broker that has forgotten the session takes no harm: it knows none of that number.
void Network::notice_at_broker(SessionId id, Millis pause) {
  world_.timeline.after(pause, [this, id] {
    if (broker_->is_alive()) {
      broker_->session_closed(id);
    }
  });
}

void Network::notice_at_peer(SessionId id, Millis pause) {
  world_.timeline.after(pause, [this, id] {
    const auto* session = find(id);
    if (session != nullptr && session->peer->life() == session->life) {
      session->peer->session_ended(id);
    }
  });
}

Millis Network::detection() {
  return world_.random.chance(500)
             ? latency()
             : world_.random.between(Millis(0), Millis(limits::kHeartbeatTimeout));
}

std::vector<SessionId> Network::sessions_of(const Peer* peer) const {
  std::vector<SessionId> ids;
  for (const auto& [id, session] : sessions_) {
    if ((peer == nullptr || session.peer == peer) && (session.carries_up || session.carries_down)) {
      ids.push_back(id);
    }
  }
  return ids;
}

}  // namespace entente::simulation
