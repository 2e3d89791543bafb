// What other threads tell the agent's loop.
#pragma once

#include <memory>
#include <string>
#include <variant>

#include "common/net/client_session.h"
#include "common/runtime/mailbox.h"
#include "site-agent/core/events.h"

namespace entente::agent {

// The dialing thread's answer.
struct Dialed {
  Expected<std::unique_ptr<net::ClientSession>> session;
};

// This side's disk or memory failed in a way that no task is to blame for.
struct ThreadFailed {
  std::string what;
};

using Incoming = std::variant<Event, Dialed, ThreadFailed>;
using Inbox = Mailbox<Incoming>;

}  // namespace entente::agent
