#include "tests/bench/rounds/idle.h"

#include <fmt/format.h>

#include <chrono>
#include <memory>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <thread>
#include <vector>
#include <zmq.hpp>

#include "common/net/client_session.h"
#include "common/runtime/system_clock.h"
#include "common/wire/control_codec.h"
#include "tests/support/consortium.h"
#include "tests/support/process_probe.h"

namespace entente::bench {
namespace {

using integration::Consortium;
using Session = std::unique_ptr<net::ClientSession>;

// Longer than a heartbeat's interval, so that heartbeats are part of what is measured.
constexpr std::chrono::seconds kIdle{25};

void say(net::ClientSession& session, const msg::Control& message) {
  const auto bytes = wire::encode(message);
  if (!session.send({zmq::message_t(bytes.data(), bytes.size()), {}})) {
    throw std::runtime_error("the broker does not take what an idle site says");
  }
}

Session join(Consortium& consortium, zmq::context_t& context, const std::string& name) {
  const auto kit = load_kit(consortium.issue(Role::site, name), system_now().unix_ms).value();
  auto session = net::ClientSession::open(context, {consortium.endpoint(), "",
                                                    TlsContext::client(kit, Plane::control).value(),
                                                    kit.identity.consortium, Plane::control})
                     .value();
  msg::Hello hello;
  hello.instance = 1;
  say(*session, hello);
  SiteAdvert advert;
  advert.datasets = {{"clothes", "idx", 60'000, {1, 28, 28}, 10}};
  advert.version = "bench";
  say(*session, msg::Advert{advert});
  if (!session->receive(integration::kPatience)) {
    throw std::runtime_error("the broker does not answer an idle site");
  }
  return session;
}

}  // namespace

nlohmann::json measure_idle(int sites) {
  Consortium consortium;
  const auto broker = consortium.pid("broker");
  const auto before = integration::anonymous_bytes(broker);
  zmq::context_t context;
  constexpr int kSpareSockets = 16;
  context.set(zmq::ctxopt::max_sockets, sites + kSpareSockets);
  std::vector<Session> sessions;
  for (int i = 0; i < sites; ++i) {
    sessions.push_back(join(consortium, context, fmt::format("site-{:04}", i)));
  }
  consortium.wait_for_sites(sessions.size());
  const auto after = integration::anonymous_bytes(broker);
  const auto cpu = integration::cpu_seconds(broker);
  std::this_thread::sleep_for(kIdle);
  const auto used = integration::cpu_seconds(broker) - cpu;
  return {{"sites", sites},
          {"bytes_per_site", (after - before) / static_cast<std::uint64_t>(sites)},
          {"cores", used / static_cast<double>(kIdle.count())}};
}

}  // namespace entente::bench
