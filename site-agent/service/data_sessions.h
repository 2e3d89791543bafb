// The site's data sessions: one that has served a transfer is kept for a while for the next.
//
// A handshake and the first small chunks (common/blob/pace.h) cost more than moving a small model.
// A session that has ended meanwhile is never handed out. Any thread.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "common/base/time.h"
#include "common/blob/pace.h"
#include "common/domain/messages.h"
#include "common/net/client_session.h"
#include "site-agent/service/broker_route.h"

namespace entente::agent {

class DataSessions {
 public:
  // `hello` opens every session; `route` must outlive this object.
  DataSessions(const BrokerRoute& route, msg::Hello hello)
      : route_(route), hello_(std::move(hello)) {}

  struct Taken {
    std::unique_ptr<net::ClientSession> session;
    Pace pace;             // of its puts
    bool is_used = false;  // it may have died without having noticed yet
  };

  // An idle session, or a greeted new one. Refuses like BrokerRoute::open and open_data_plane.
  [[nodiscard]] Expected<Taken> take();
  [[nodiscard]] Expected<Taken> open() const;
  // Only a session on which nothing is under way.
  void give_back(Taken taken, Monotonic now);

  // Ends those that were idle for too long, or have ended. Returns when to look again.
  std::optional<Monotonic> close_idle(Monotonic now);

 private:
  struct Idle {
    std::unique_ptr<net::ClientSession> session;
    Pace pace;
    Monotonic since{};
  };

  const BrokerRoute& route_;
  const msg::Hello hello_;
  std::mutex mutex_;
  std::vector<Idle> idle_;  // the oldest first
};

}  // namespace entente::agent
