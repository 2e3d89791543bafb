#include "site-agent/service/broker_route.h"

#include "common/crypto/kit.h"
#include "common/runtime/system_clock.h"

namespace entente::agent {

Expected<std::unique_ptr<net::ClientSession>> BrokerRoute::open(Plane plane) const {
  const auto kit = load_kit(kit_, system_now().unix_ms);
  if (!kit) {
    return tl::unexpected(kit.error());
  }
  auto context = TlsContext::client(*kit, plane);
  if (!context) {
    return tl::unexpected(context.error());
  }
  return net::ClientSession::open(
      zmq_, {broker_.empty() ? kit->broker : broker_, proxy_.empty() ? kit->proxy : proxy_,
             std::move(*context), kit->identity.consortium, plane});
}

}  // namespace entente::agent
