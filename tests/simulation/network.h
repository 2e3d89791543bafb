// Control sessions between peers and the broker, with the faults that TLS over TCP leaves possible.
//
//  - Messages of one direction of a session arrive in order, or not at all: they are lost only with
//    the session, and what was sent last is lost first.
//  - Two sessions know nothing of each other: the end of an old one may be noticed long after a new
//    one has begun.
//  - A cut is silent. Each side notices by itself, at once (a reset) or when a heartbeat is missed.
#pragma once

#include <map>
#include <set>
#include <vector>

#include "common/domain/identity.h"
#include "common/domain/messages.h"
#include "tests/simulation/world.h"

namespace entente::simulation {

// A peer's process as the network sees it.
class Peer {
 public:
  virtual ~Peer() = default;
  [[nodiscard]] virtual const Identity& identity() const = 0;
  // Counts its processes: what was meant for an earlier one does not reach the next.
  [[nodiscard]] virtual std::uint64_t life() const = 0;
  [[nodiscard]] virtual bool is_alive() const = 0;
  virtual void dial_failed() = 0;
  virtual void session_opened(SessionId session) = 0;
  virtual void session_ended(SessionId session) = 0;
  virtual void hear(SessionId session, const msg::Control& message) = 0;
};

class BrokerSide {
 public:
  virtual ~BrokerSide() = default;
  [[nodiscard]] virtual bool is_alive() const = 0;
  [[nodiscard]] virtual bool is_awake() const = 0;
  virtual void session_opened(SessionId session, const Identity& identity) = 0;
  virtual void session_closed(SessionId session) = 0;
  virtual void hear(SessionId session, const msg::Control& message) = 0;
};

class Network {
 public:
  Network(World& world, Millis latency_max) : world_(world), latency_max_(latency_max) {}
  void attach(BrokerSide& broker) { broker_ = &broker; }

  void dial(Peer& peer);
  void to_broker(SessionId session, msg::Control message);
  void to_peer(SessionId session, msg::Control message);
  // What was sent before still arrives; then the other side sees the end.
  void hang_up_peer(SessionId session);
  void hang_up_broker(SessionId session);

  // Faults.
  void cut(const Peer& peer);
  void cut_all();
  void peer_died(const Peer& peer);
  void broker_died();
  // It has answered no heartbeat for too long: what peers have said still reaches it.
  void broker_is_silent();
  void partition(const Peer& peer);
  void heal(const Peer& peer) { unreachable_.erase(&peer); }
  void heal_all() { unreachable_.clear(); }

  [[nodiscard]] bool reaches(const Peer& peer) const { return !unreachable_.contains(&peer); }
  [[nodiscard]] Millis latency() { return world_.random.between(Millis(1), latency_max_); }

 private:
  struct Session {
    Peer* peer = nullptr;
    std::uint64_t life = 0;
    Monotonic up_busy_until{};
    Monotonic down_busy_until{};
    bool carries_up = true;
    bool carries_down = true;
  };

  void establish(Peer& peer);
  Session* find(SessionId id);
  void cut(SessionId id);
  void notice_at_broker(SessionId id, Millis pause);
  void notice_at_peer(SessionId id, Millis pause);
  [[nodiscard]] Millis detection();
  [[nodiscard]] std::vector<SessionId> sessions_of(const Peer* peer) const;

  World& world_;
  const Millis latency_max_;
  BrokerSide* broker_ = nullptr;
  SessionId last_ = 0;
  std::map<SessionId, Session> sessions_;
  std::set<const Peer*> unreachable_;
};

}  // namespace entente::simulation
