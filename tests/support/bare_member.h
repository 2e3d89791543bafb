// A member of the consortium that speaks the protocol by itself, without agent or `entente`: what a
// test needs to hold many sessions, or to say things at a moment of its own.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <variant>
#include <zmq.hpp>

#include "common/crypto/kit.h"
#include "common/domain/messages.h"
#include "common/net/client_session.h"
#include "tests/support/wait.h"

namespace entente::integration {

class BareMember {
 public:
  // Opens a control session and greets. `zmq` outlives it. Throws when the broker does not welcome.
  BareMember(zmq::context_t& zmq, const Kit& kit, std::uint64_t instance);

  void send(const msg::Control& message);
  // The next message of kind M; passes over others. Throws at the limit or the session's end.
  template <class M>
  M await() {
    for (;;) {
      auto message = next();
      if (auto* it = std::get_if<M>(&message)) {
        return std::move(*it);
      }
    }
  }
  // Sends a request and waits for its answer. Throws when it is refused.
  msg::ReplyBody ask(msg::RequestBody request);

  [[nodiscard]] net::ClientSession& session() { return *session_; }

 private:
  [[nodiscard]] msg::Control next();

  std::unique_ptr<net::ClientSession> session_;
  std::uint64_t last_request_ = 0;
};

}  // namespace entente::integration
