// The way to the broker: opens sessions with the site's kit. The kit is read again for every
// session, so that a renewed certificate is used without a restart.
//
// Immutable; `zmq` outlives its sessions; `open` blocks and may be called from several threads.
#pragma once

#include <memory>
#include <string>

#include "common/net/client_session.h"
#include "site-agent/service/agent_config.h"

namespace entente::agent {

class BrokerRoute {
 public:
  BrokerRoute(zmq::context_t& zmq, const AgentConfig& config)
      : zmq_(zmq), kit_(config.kit), broker_(config.broker), proxy_(config.proxy) {}

  // Refuses like load_kit, TlsContext::client and ClientSession::open.
  [[nodiscard]] Expected<std::unique_ptr<net::ClientSession>> open(Plane plane) const;

 private:
  zmq::context_t& zmq_;
  const std::filesystem::path kit_;
  const std::string broker_;  // empty: the kit's
  const std::string proxy_;
};

}  // namespace entente::agent
