// The person who runs the consortium: takes sites out of the work and lets them back in. Asks until
// the broker has answered; a later wish about a site takes the place of an earlier one.
#pragma once

#include <map>
#include <optional>

#include "tests/simulation/network.h"
#include "tests/simulation/promises.h"

namespace entente::simulation {

class Operator final : public Peer {
 public:
  Operator(World& world, Network& network, const Promises& promises)
      : world_(world), network_(network), promises_(promises) {}

  void drain(const SiteId& site) { wish(site, true); }
  void resume(const SiteId& site) { wish(site, false); }
  void resume_all();
  // True when every wish has been answered.
  [[nodiscard]] bool is_content() const { return open_.empty(); }

  [[nodiscard]] const Identity& identity() const override { return identity_; }
  [[nodiscard]] std::uint64_t life() const override { return 0; }
  [[nodiscard]] bool is_alive() const override { return true; }
  void dial_failed() override;
  void session_opened(SessionId session) override;
  void session_ended(SessionId session) override;
  void hear(SessionId session, const msg::Control& message) override;

 private:
  void wish(const SiteId& site, bool draining);
  void ask(const SiteId& site, bool draining);

  World& world_;
  Network& network_;
  const Promises& promises_;
  const Identity identity_{ConsortiumId::literal("health"), Role::operator_, "mary"};
  std::map<SiteId, bool> wishes_;         // the last about each site
  std::map<SiteId, std::uint64_t> open_;  // the request that answers it
  std::optional<SessionId> session_;
  bool is_dialing_ = false;
  std::uint64_t last_request_ = 0;
};

}  // namespace entente::simulation
