// The broker's shell in the simulation: the real core, its disk and its data plane's grants. It
// follows the rules of broker/service/broker_loop.cpp: rows are committed in batches, and what they
// allow to be said is said afterwards, in order.
//
// It can die before a transaction, between a transaction and its actions, and after every action;
// and it can be stopped for a while, as by SIGSTOP.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>

#include "broker/core/broker_core.h"
#include "tests/simulation/network.h"
#include "tests/simulation/plan.h"
#include "tests/simulation/promises.h"

namespace entente::simulation {

// Of the reason of a job whose model or server state was found damaged.
constexpr std::string_view kDamaged = "damaged on the broker's disk";

enum class Moment : std::uint8_t { before_commit, after_commit, after_action };

class BrokerHost final : public BrokerSide {
 public:
  BrokerHost(World& world, Network& network, Promises& promises, BrokerDisk& disk,
             const Plan& plan);

  void start();
  // Dies, and starts again after `down`.
  void crash(Millis down);
  // Stands still; what reaches it or falls due meanwhile happens when it wakes, in that order.
  void sleep(Millis pause);
  // Dies at the `moments`-th chance from now on.
  void arm(std::uint32_t moments, Millis down);
  // For scripted tests: true kills it there. `action` is the one just carried out.
  std::function<bool(Moment, const broker::Effects&, const broker::Action* action)> dies_at;

  [[nodiscard]] bool is_alive() const override { return core_ != nullptr; }
  [[nodiscard]] bool is_awake() const override { return is_alive() && !is_asleep_; }
  [[nodiscard]] std::uint64_t life() const { return life_; }
  void session_opened(SessionId session, const Identity& identity) override;
  void session_closed(SessionId session) override;
  void hear(SessionId session, const msg::Control& message) override;

  // The data plane.
  [[nodiscard]] bool may_put(const std::string& peer, const BlobId& blob) const;
  // Whether it has all bytes of what the peer puts, as far as those count.
  [[nodiscard]] bool has_of(const std::string& peer, const BlobId& blob);
  [[nodiscard]] bool may_get(const std::string& peer, const BlobId& blob) const;
  // False also when it finds the blob damaged.
  [[nodiscard]] bool vouch_for(const BlobId& blob);
  void moved(const std::string& peer, const BlobId& blob, std::uint64_t done);
  // The whole blob is there; false when it is `poisoned` and therefore refused.
  bool take(const std::string& peer, const BlobId& blob, bool poisoned);

 private:
  // What one step of the core wants done.
  struct Batch {
    broker::Effects effects;
    Millis awake{};  // how long the broker had been, when it decided
  };

  [[nodiscard]] broker::Snapshot recover();
  void record_files(broker::Snapshot& snapshot);
  void wake();
  void when_awake(std::function<void()> what);
  // In this life, and while awake.
  void at(Monotonic when, std::function<void()> what);
  void after(Millis pause, std::function<void()> what);
  void later(Millis pause, broker::Event event);
  void decide(const broker::Event& event);
  void hand_over(broker::Effects effects);
  void write(const std::vector<broker::Row>& rows, Millis awake);
  void commit();
  void speak(const Batch& batch);
  void plan_tick();
  [[nodiscard]] bool dies(Moment moment, const broker::Effects& effects,
                          const broker::Action* action = nullptr);

  void carry_out(const broker::Send& send);
  void carry_out(const broker::CloseSession& close);
  void carry_out(const broker::GrantPut& grant);
  void carry_out(const broker::GrantGet& grant);
  void carry_out(const broker::Revoke& revoke);
  void carry_out(const broker::StartMerge& merge);
  [[nodiscard]] std::optional<broker::MergeFinished> find_damage(const broker::StartMerge& merge);
  void carry_out(const broker::DropBlob& drop);
  void carry_out(const broker::SendEvents& query);
  void carry_out(const broker::SendEventPage&) {}
  void carry_out(const broker::SendModels&) {}
  void carry_out(const broker::SendAudit&) {}

  using Grants = std::set<std::pair<std::string, BlobId>>;

  World& world_;
  Network& network_;
  Promises& promises_;
  BrokerDisk& disk_;
  const Plan& plan_;
  std::unique_ptr<broker::BrokerCore> core_;
  std::uint64_t life_ = 0;
  bool is_asleep_ = false;
  std::uint64_t sleep_ = 0;
  Monotonic awake_since_{};
  std::vector<std::function<void()>> postponed_;
  std::deque<std::shared_ptr<const Batch>> uncommitted_;
  std::size_t unspoken_ = 0;  // batches handed over whose actions are still to come
  bool commit_planned_ = false;
  std::optional<Monotonic> tick_at_;
  std::map<std::pair<std::string, BlobId>, bool> puts_;  // and whether the peer must bring it
  Grants gets_;
  std::uint32_t moments_left_ = 0;
  Millis down_when_armed_{};
};

}  // namespace entente::simulation
