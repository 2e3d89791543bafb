#include "tests/simulation/broker_host.h"

#include <algorithm>

#include "broker/core/damage.h"
#include "common/base/check.h"
#include "common/base/limits.h"
#include "common/domain/brought_files.h"
#include "tests/simulation/fake_training.h"
#include "tests/simulation/trace_text.h"

namespace entente::simulation {
namespace {

// Shorter ones the core may take for a busy moment.
constexpr std::chrono::seconds kOwnSleepMin{11};

}  // namespace

BrokerHost::BrokerHost(World& world, Network& network, Promises& promises, BrokerDisk& disk,
                       const Plan& plan)
    : world_(world), network_(network), promises_(promises), disk_(disk), plan_(plan) {
  network.attach(*this);
}

void BrokerHost::start() {
  world_.say("broker", "starts");
  awake_since_ = world_.timeline.now();
  promises_.at_broker_start();
  auto snapshot = recover();
  disk_.collect_orphans();
  core_ = std::make_unique<broker::BrokerCore>(broker::BrokerInfo{"hub", "0.1.0"},
                                               std::move(snapshot), world_.now());
  hand_over(core_->resume(world_.now()));
  plan_tick();
}

broker::Snapshot BrokerHost::recover() {
  auto snapshot = disk_.snapshot();
  const auto taken_back = broker::take_back_damaged(
      snapshot, [this](const BlobId& blob) { return vouch_for(blob); }, world_.now().unix_ms);
  for (const auto& damage : taken_back.damages) {
    world_.say("broker", "{}", damage.sentence);
  }
  write(taken_back.rows, Millis(0));
  record_files(snapshot);
  return snapshot;
}

// As service/recovery.cpp does: what a coordinator has been told is stored need not come again.
void BrokerHost::record_files(broker::Snapshot& snapshot) {
  for (const auto& job : snapshot.jobs) {
    for (const auto& file : brought_files(job.spec)) {
      if (is_terminal(job.state) ||
          !disk_.brought.contains({"coordinator/" + job.coordinator, file.blob}) ||
          disk_.files.contains({job.job, file.blob})) {
        continue;
      }
      snapshot.files.push_back({job.job, file.blob, file.bytes});
      disk_.blobs.insert(file.blob);
      const std::vector<broker::Row> rows{
          snapshot.files.back(), broker::AuditRow{world_.now().unix_ms, "broker", "file.accept",
                                                  "job/" + job.job.str(), file.blob.hex()}};
      write(rows, Millis(0));
      promises_.after_commit(rows);
    }
  }
}

void BrokerHost::crash(Millis down) {
  if (!is_alive()) {
    return;
  }
  world_.say("broker", "DIES for {} ms, {} batches uncommitted", down.count(), uncommitted_.size());
  ++life_;
  core_.reset();
  is_asleep_ = false;
  postponed_.clear();
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

void BrokerHost::sleep(Millis pause) {
  if (!is_awake()) {
    return;
  }
  world_.say("broker", "SLEEPS for {} ms", pause.count());
  is_asleep_ = true;
  const auto in_this_sleep = [this, life = life_, sleep = ++sleep_] {
    return life == life_ && sleep == sleep_ && is_asleep_;
  };
  world_.timeline.after(limits::kHeartbeatTimeout, [this, in_this_sleep] {
    if (in_this_sleep()) {
      network_.broker_is_silent();
    }
  });
  world_.timeline.after(pause, [this, in_this_sleep, pause] {
    if (in_this_sleep()) {
      if (pause >= kOwnSleepMin) {
        awake_since_ = world_.timeline.now();
      }
      wake();
    }
  });
}

void BrokerHost::wake() {
  world_.say("broker", "wakes");
  is_asleep_ = false;
  const auto life = life_;
  for (const auto& what : std::exchange(postponed_, {})) {
    if (life != life_) {
      return;
    }
    what();
  }
}

void BrokerHost::when_awake(std::function<void()> what) {
  if (is_asleep_) {
    postponed_.push_back(std::move(what));
  } else {
    what();
  }
}

void BrokerHost::at(Monotonic when, std::function<void()> what) {
  world_.timeline.at(when, [this, life = life_, what = std::move(what)] {
    if (life == life_ && is_alive()) {
      when_awake(what);
    }
  });
}

void BrokerHost::after(Millis pause, std::function<void()> what) {
  at(world_.timeline.now() + pause, std::move(what));
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
void BrokerHost::session_closed(SessionId session) {
  when_awake([this, session] { decide(broker::SessionClosed{session}); });
}

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
  when_awake([this, event = broker::MessageReceived{session, message, digest}] { decide(event); });
}

bool BrokerHost::may_put(const std::string& peer, const BlobId& blob) const {
  return puts_.contains({peer, blob});
}
// As file_inbox.h says of one who must bring the bytes itself.
bool BrokerHost::has_of(const std::string& peer, const BlobId& blob) {
  const auto put = puts_.find({peer, blob});
  return put != puts_.end() && put->second ? disk_.brought.contains({peer, blob}) : vouch_for(blob);
}
bool BrokerHost::may_get(const std::string& peer, const BlobId& blob) const {
  return gets_.contains({peer, blob});
}

void BrokerHost::moved(const std::string& peer, const BlobId& blob, std::uint64_t done) {
  decide(broker::TransferMoved{peer, blob, done, kBlobBytes});
}

bool BrokerHost::vouch_for(const BlobId& blob) {
  const bool was_damaged = disk_.damaged.contains(blob);
  const bool is_sound = disk_.vouch_for(blob);
  if (was_damaged) {
    world_.say("broker", "puts the damaged blob {} aside", blob.short_hex());
    promises_.on_quarantined(blob);
  }
  return is_sound;
}

bool BrokerHost::take(const std::string& peer, const BlobId& blob, bool poisoned) {
  if (poisoned) {
    later(Millis(1),
          broker::UpdateArrived{peer, blob,
                                refuse("not_finite", "the update holds a NaN", "", Scope::task)});
    return false;
  }
  disk_.blobs.insert(blob);
  if (const auto put = puts_.find({peer, blob}); put != puts_.end() && put->second) {
    disk_.brought.emplace(peer, blob);
  }
  promises_.on_validated(peer, blob);
  later(world_.random.between(Millis(0), Millis(10)), broker::UpdateArrived{peer, blob, 1.0});
  return true;
}

void BrokerHost::later(Millis pause, broker::Event event) {
  after(pause, [this, event = std::move(event)] { decide(event); });
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
  at(*tick_at_, [this, planned = *tick_at_] {
    if (tick_at_ != planned) {
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
      std::any_of(effects.actions.begin(), effects.actions.end(), broker::is_query);
  auto batch = std::make_shared<const Batch>(
      Batch{std::move(effects), world_.timeline.now() - awake_since_});
  if (!needs_store && unspoken_ == 0) {
    ++unspoken_;
    speak(*batch);
    return;
  }
  ++unspoken_;
  uncommitted_.push_back(std::move(batch));
  if (!commit_planned_) {
    commit_planned_ = true;
    const auto limit = world_.random.chance(plan_.commit_slow) ? Millis(2000) : plan_.commit_max;
    after(world_.random.between(Millis(0), limit), [this] { commit(); });
  }
}

void BrokerHost::write(const std::vector<broker::Row>& rows, Millis awake) {
  for (const auto& row : rows) {
    promises_.before_row(row, awake);
    disk_.write(row);
  }
}

// Everything that waits goes into one transaction, as in the store thread.
void BrokerHost::commit() {
  commit_planned_ = false;
  for (const auto& batch : uncommitted_) {
    if (dies(Moment::before_commit, batch->effects)) {
      return;
    }
  }
  const auto batches = std::exchange(uncommitted_, {});
  for (const auto& batch : batches) {
    write(batch->effects.rows, batch->awake);
  }
  for (const auto& batch : batches) {
    promises_.after_commit(batch->effects.rows);
  }
  for (const auto& batch : batches) {
    if (dies(Moment::after_commit, batch->effects)) {
      return;
    }
  }
  for (const auto& batch : batches) {
    after(Millis(1), [this, batch] { speak(*batch); });
  }
}

void BrokerHost::speak(const Batch& batch) {
  ENTENTE_CHECK(unspoken_ > 0);
  --unspoken_;
  for (const auto& action : batch.effects.actions) {
    promises_.on_action(action);
    std::visit([this](const auto& one) { carry_out(one); }, action);
    if (dies(Moment::after_action, batch.effects, &action)) {
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

void BrokerHost::carry_out(const broker::GrantPut& grant) {
  puts_[{grant.peer, grant.blob}] = grant.is_brought;
}
void BrokerHost::carry_out(const broker::GrantGet& grant) { gets_.emplace(grant.peer, grant.blob); }
void BrokerHost::carry_out(const broker::Revoke& revoke) {
  puts_.erase({revoke.peer, revoke.blob});
  disk_.brought.erase({revoke.peer, revoke.blob});
  gets_.erase({revoke.peer, revoke.blob});
}

void BrokerHost::carry_out(const broker::StartMerge& merge) {
  after(world_.random.between(Millis(1), Millis(2000)), [this, merge] {
    if (auto damage = find_damage(merge)) {
      later(Millis(5), *std::move(damage));
      return;
    }
    std::vector<WeightedUpdate> updates;
    for (const auto& input : merge.updates) {
      updates.push_back({input.site, input.update, input.weight, input.factor});
    }
    broker::MergedModel merged;
    merged.blob = merge.from_zeros ? merged_outputs(updates)
                                   : merged_model(merge.model, updates, merge.server_state);
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

// As the merge thread does, before it reads.
std::optional<broker::MergeFinished> BrokerHost::find_damage(const broker::StartMerge& merge) {
  broker::MergeFinished found{merge.job, merge.round,
                              refuse("blob_damaged", std::string(kDamaged))};
  if (!vouch_for(merge.model) || (merge.server_state && !vouch_for(*merge.server_state))) {
    return found;
  }
  for (const auto& input : merge.updates) {
    if (!vouch_for(input.update)) {
      found.damaged.push_back(input.update);
    }
  }
  return found.damaged.empty() ? std::nullopt : std::optional(found);
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
