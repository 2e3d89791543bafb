// What other threads tell the agent's loop.
#pragma once

#include <future>
#include <memory>
#include <string>
#include <variant>

#include "common/net/client_session.h"
#include "common/runtime/mailbox.h"
#include "site-agent/core/events.h"
#include "site-agent/service/agent_config.h"

namespace entente::agent {

// The dialing thread's answer.
struct Dialed {
  Expected<std::unique_ptr<net::ClientSession>> session;
};

// This side's disk or memory failed in a way that no task is to blame for.
struct ThreadFailed {
  std::string what;
};

// A line from the site's people (control_socket.h); the loop sets the answer.
struct LocalAsk {
  std::string request;  // JSON
  std::string who;      // the local user
  std::shared_ptr<std::promise<std::string>> answer;
};

// agent.toml, read again.
struct Reread {
  AgentConfig config;
  SiteAdvert advert;
};

using Incoming = std::variant<Event, Dialed, ThreadFailed, LocalAsk, Reread>;
using Inbox = Mailbox<Incoming>;

}  // namespace entente::agent
