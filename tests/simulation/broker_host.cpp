#include "tests/simulation/broker_host.h"

#include <algorithm>

#include "common/base/check.h"
#include "tests/simulation/fake_training.h"
#include "tests/simulation/trace_text.h"

namespace entente::simulation {

BrokerHost::BrokerHost(World& world, Network& network, Promises& promises, BrokerDisk& disk,
                       const Plan& plan)
    : world_(world), network_(network), promises_(promises), disk_(disk), plan_(plan) {
  network.attach(*this);
}

void BrokerHost::start() {
  world_.say("broker", "starts");
  promises_.at_broker_start();
  disk_.collect_orphans();
  core_ = std::make_unique<broker::BrokerCore>(broker::BrokerInfo{"hub", "0.1.0"}, disk_.snapshot(),
                                               world_.now());
  hand_over(core_->resume(world_.now()));
  plan_tick();
}

void BrokerHost::crash(Millis down) {
  if (!is_alive()) {
    return;
  }
  world_.say("broker", "DIES for {} ms, {} batches uncommitted", down.count(), uncommitted_.size());
  ++life_;
  core_.reset();
  uncommitted_.clear();
  unspoken_ = 0;
  commit_planned_ = false;
  tick_at_.reset();
  puts_.clear();
  gets_.clear();
  moments_left_ = 0;
  network_.broker_died();
  world_.timeline.after(down, [this] { start(); });
}

void BrokerHost::arm(std::uint32_t moments, Millis down) {
  moments_left_ = moments;
  down_when_armed_ = down;
}

bool BrokerHost::dies(Moment moment, const broker::Effects& effects, const broker::Action* action) {
  if (dies_at && dies_at(moment, effects, action)) {
    crash(std::chrono::seconds(5));
    return true;
  }
  if (moments_left_ > 0 && --moments_left_ == 0) {
    crash(down_when_armed_);
    return true;
  }
  return false;
}

void BrokerHost::session_opened(SessionId session, const Identity& identity) {
  decide(broker::SessionOpened{session, identity});
}
void BrokerHost::session_closed(SessionId session) { decide(broker::SessionClosed{session}); }

void BrokerHost::hear(SessionId session, const msg::Control& message) {
  if (world_.trace.is_on) {
    world_.say("broker", "<- {} {}", session, text_of(message));
  }
  Digest digest{};
  if (const auto* request = std::get_if<msg::Request>(&message)) {
    if (const auto* submit = std::get_if<msg::SubmitJob>(&request->body)) {
      digest = digest_of(submit->spec);
    }
  }
  decide(broker::MessageReceived{session, message, digest});
}

bool BrokerHost::may_put(const std::string& peer, const BlobId& blob) const {
  return puts_.contains({peer, blob});
}
bool BrokerHost::may_get(const std::string& peer, const BlobId& blob) const {
  return gets_.contains({peer, blob});
}

void BrokerHost::moved(const std::string& peer, const BlobId& blob, std::uint64_t done) {
  decide(broker::TransferMoved{peer, blob, done, kBlobBytes});
}

bool BrokerHost::take(const std::string& peer, const BlobId& blob, bool poisoned) {
  if (poisoned) {
    later(Millis(1),
          broker::UpdateArrived{peer, blob,
                                refuse("not_finite", "the update holds a NaN", "", Scope::task)});
    return false;
  }
  disk_.blobs.insert(blob);
  promises_.on_validated(peer, blob);
  later(world_.random.between(Millis(0), Millis(10)), broker::UpdateArrived{peer, blob, 1.0});
  return true;
}

void BrokerHost::later(Millis pause, broker::Event event) {
  world_.timeline.after(pause, [this, life = life_, event = std::move(event)] {
    if (life == life_ && is_alive()) {
      decide(event);
    }
  });
}

void BrokerHost::decide(const broker::Event& event) {
  hand_over(core_->step(event, world_.now()));
  plan_tick();
}

void BrokerHost::plan_tick() {
  if (!is_alive()) {
    return;
  }
  const auto due = core_->next_wakeup();
  if (!due || (tick_at_ && *tick_at_ <= *due)) {
    return;
  }
  tick_at_ = std::max(*due, world_.timeline.now());
  world_.timeline.at(*tick_at_, [this, life = life_, at = *tick_at_] {
    if (life != life_ || !is_alive() || tick_at_ != at) {
      return;
    }
    tick_at_.reset();
    const auto wakeup = core_->next_wakeup();
    if (wakeup && *wakeup <= world_.timeline.now()) {
      decide(broker::Tick{});
    } else {
      plan_tick();
    }
  });
}

void BrokerHost::hand_over(broker::Effects effects) {
  if (effects.rows.empty() && effects.actions.empty()) {
    return;
  }
  const bool needs_store =
      !effects.rows.empty() ||
      std::any_of(effects.actions.begin(), effects.actions.end(), [](const auto& action) {
        return std::holds_alternative<broker::SendEvents>(action) ||
               std::holds_alternative<broker::SendModels>(action);
      });
  auto batch = std::make_shared<broker::Effects>(std::move(effects));
  if (!needs_store && unspoken_ == 0) {
    ++unspoken_;
    speak(batch);
    return;
  }
  ++unspoken_;
  uncommitted_.push_back(std::move(batch));
  if (!commit_planned_) {
    commit_planned_ = true;
    const auto limit = world_.random.chance(plan_.commit_slow) ? Millis(2000) : plan_.commit_max;
    world_.timeline.after(world_.random.between(Millis(0), limit), [this, life = life_] {
      if (life == life_) {
        commit();
      }
    });
  }
}

// Everything that waits goes into one transaction, as in the store thread.
void BrokerHost::commit() {
  commit_planned_ = false;
  for (const auto& batch : uncommitted_) {
    if (dies(Moment::before_commit, *batch)) {
      return;
    }
  }
  const auto batches = std::exchange(uncommitted_, {});
  for (const auto& batch : batches) {
    for (const auto& row : batch->rows) {
      promises_.before_row(row);
      disk_.write(row);
    }
  }
  for (const auto& batch : batches) {
    promises_.after_commit(batch->rows);
  }
  for (const auto& batch : batches) {
    if (dies(Moment::after_commit, *batch)) {
      return;
    }
  }
  for (const auto& batch : batches) {
    world_.timeline.after(Millis(1), [this, life = life_, batch] {
      if (life == life_) {
        speak(batch);
      }
    });
  }
}

void BrokerHost::speak(const std::shared_ptr<broker::Effects>& effects) {
  ENTENTE_CHECK(unspoken_ > 0);
  --unspoken_;
  for (const auto& action : effects->actions) {
    promises_.on_action(action);
    std::visit([this](const auto& one) { carry_out(one); }, action);
    if (dies(Moment::after_action, *effects, &action)) {
      return;
    }
  }
}

void BrokerHost::carry_out(const broker::Send& send) {
  if (world_.trace.is_on) {
    world_.say("broker", "-> {} {}", send.session, text_of(send.message));
  }
  network_.to_peer(send.session, send.message);
}

void BrokerHost::carry_out(const broker::CloseSession& close) {
  world_.say("broker", "closes {}: {}", close.session, close.reason);
  network_.hang_up_broker(close.session);
}

void BrokerHost::carry_out(const broker::GrantPut& grant) { puts_.emplace(grant.peer, grant.blob); }
void BrokerHost::carry_out(const broker::GrantGet& grant) { gets_.emplace(grant.peer, grant.blob); }
void BrokerHost::carry_out(const broker::Revoke& revoke) {
  puts_.erase({revoke.peer, revoke.blob});
  gets_.erase({revoke.peer, revoke.blob});
}

void BrokerHost::carry_out(const broker::StartMerge& merge) {
  const auto pause = world_.random.between(Millis(1), Millis(2000));
  world_.timeline.after(pause, [this, life = life_, merge] {
    if (life != life_ || !is_alive()) {
      return;
    }
    std::vector<WeightedUpdate> updates;
    for (const auto& input : merge.updates) {
      updates.push_back({input.site, input.update, input.weight});
    }
    broker::MergedModel merged;
    merged.blob = merged_model(merge.model, updates, merge.server_state);
    merged.bytes = kBlobBytes;
    merged.server_state = next_server_state(merge.strategy, merge.spec_digest, merged.blob);
    world_.say("broker", "merged {} round {}", merge.job.str(), merge.round);
    disk_.blobs.insert(merged.blob);
    if (merged.server_state) {
      merged.server_state_bytes = kBlobBytes;
      disk_.blobs.insert(*merged.server_state);
    }
    later(Millis(5), broker::MergeFinished{merge.job, merge.round, merged});
  });
}

void BrokerHost::carry_out(const broker::DropBlob& drop) { disk_.blobs.erase(drop.blob); }

void BrokerHost::carry_out(const broker::SendEvents& query) {
  const auto& recorded = disk_.events.at(query.summary.id);
  std::vector<JobEvent> events;
  for (const auto& event : recorded) {
    if (event.seq > query.after_seq && event.seq <= query.up_to_seq) {
      events.push_back(event);
    }
  }
  carry_out(broker::Send{query.session,
                         msg::JobUpdate{query.request, query.summary, std::move(events), {}}});
}

}  // namespace entente::simulation
