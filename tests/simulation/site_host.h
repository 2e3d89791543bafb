// The agent's shell in the simulation: the real core, its disk, its trainers and its transfers. It
// follows the rules of site-agent/service/agent_loop.cpp: what a step writes into the journal is
// committed before the rest of the step is carried out.
//
// It can die before the journal is written, right after, and after every effect.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>

#include "site-agent/core/agent_core.h"
#include "tests/simulation/site_disk.h"
#include "tests/simulation/transfers.h"

namespace entente::simulation {

class SiteHost final : public Peer {
 public:
  SiteHost(World& world, Network& network, Transfers& transfers, Promises& promises,
           const SitePlan& plan);

  void start();
  // Dies, and starts again after `down`.
  void crash(Millis down);
  // Dies at the `moments`-th chance from now on.
  void arm(std::uint32_t moments, Millis down);
  // For scripted tests: true kills it there. `effect` is the one just carried out.
  std::function<bool(Moment, const agent::Effects&, const agent::Effect* effect)> dies_at;

  // The disk is lost with the process; who returns is another installation under the same name.
  void lose_disk();
  void cut_transfers();
  // Kills the trainers that hang, and lets none fail from now on.
  void end_faults();
  // From now on trainers hang at their first task, or no longer do.
  void hang_trainers(bool hang) { always_hangs_ = hang; }

  [[nodiscard]] const SiteDisk& disk() const { return disk_; }
  [[nodiscard]] const SitePlan& plan() const { return plan_; }
  [[nodiscard]] std::uint32_t runs(TaskKind kind, Round round) const;

  [[nodiscard]] const Identity& identity() const override { return identity_; }
  [[nodiscard]] std::uint64_t life() const override { return life_; }
  [[nodiscard]] bool is_alive() const override { return core_ != nullptr; }
  void dial_failed() override;
  void session_opened(SessionId session) override;
  void session_ended(SessionId session) override;
  void hear(SessionId session, const msg::Control& message) override;

 private:
  struct Trainer {
    JobId job;
    std::optional<TaskOrder> order;
    bool hangs = false;
    std::optional<BlobId> own{};  // of the site, that its task starts from
  };

  void decide(agent::Event event);
  void later(Millis pause, agent::Event event);
  void plan_wake();
  [[nodiscard]] bool dies(Moment moment, const agent::Effects& effects,
                          const agent::Effect* effect = nullptr);

  // A trainer's life.
  void of_trainer(agent::TrainerId id, Millis pause, std::function<void(Trainer&)> what);
  void train(agent::TrainerId id, Millis step, std::uint32_t steps_left);
  void deliver(agent::TrainerId id, const TaskOrder& order, const std::optional<BlobId>& own);

  template <class Other>
  void carry_out(const Other&) {}  // journal effects and notes
  void carry_out(const agent::effect::Dial&);
  void carry_out(const agent::effect::HangUp&);
  void carry_out(const agent::effect::Send& effect);
  void carry_out(const agent::effect::StartTrainer& effect);
  void carry_out(const agent::effect::RunTask& effect);
  void carry_out(const agent::effect::StopTrainer& effect);
  void carry_out(const agent::effect::StoreOutput& effect);
  void carry_out(const agent::effect::HandOut& effect);
  void carry_out(const agent::effect::RemoveWorkFolder& effect);
  void carry_out(const agent::effect::Download& effect);
  void carry_out(const agent::effect::StopDownload& effect);
  void carry_out(const agent::effect::Upload& effect);
  void carry_out(const agent::effect::StopUpload& effect);
  void carry_out(const agent::effect::RemoveBlob& effect);
  [[nodiscard]] std::shared_ptr<Transfer> transfer_of(const BlobId& blob);
  [[nodiscard]] std::optional<BlobId> handed_out(const JobId& job) const;

  World& world_;
  Network& network_;
  Transfers& transfers_;
  Promises& promises_;
  SitePlan plan_;
  const Identity identity_;
  SiteDisk disk_;
  std::uint64_t instance_ = 1;

  std::unique_ptr<agent::AgentCore> core_;
  std::uint64_t life_ = 0;
  std::deque<agent::Event> events_;
  bool deciding_ = false;
  std::optional<Monotonic> wake_at_;
  std::optional<SessionId> session_;
  std::map<agent::TrainerId, Trainer> trainers_;
  std::map<TaskKey, BlobId> outputs_;  // files in the work folders
  std::map<BlobId, std::shared_ptr<Transfer>> downloads_;
  std::map<TaskKey, std::shared_ptr<Transfer>> uploads_;
  std::map<std::pair<TaskKind, Round>, std::uint32_t> runs_;
  bool always_hangs_ = false;
  std::uint32_t moments_left_ = 0;
  Millis down_when_armed_{};
};

}  // namespace entente::simulation
