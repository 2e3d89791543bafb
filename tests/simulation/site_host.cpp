#include "tests/simulation/site_host.h"

#include <algorithm>

#include "common/domain/job_kind.h"
#include "tests/simulation/fake_training.h"
#include "tests/simulation/trace_text.h"

namespace entente::simulation {
namespace {

agent::AgentSettings settings_of(const SitePlan& plan, std::uint64_t instance,
                                 std::uint64_t jitter_seed) {
  agent::AgentSettings settings;
  settings.site = plan.id;
  settings.instance = instance;
  settings.jitter_seed = jitter_seed;
  settings.advert.slots = plan.slots;
  settings.advert.version = "0.1.0";
  settings.advert.datasets.push_back({"scans", "idx", examples_at(plan.id), {4}, 2});
  if (plan.evaluates) {
    settings.advert.datasets.push_back({"held-out", "idx", 50, {4}, 2});
  }
  if (!plan.declines) {
    settings.policy = {{"*"}, {"*"}, job_kind_names()};
  }
  return settings;
}

}  // namespace

SiteHost::SiteHost(World& world, Network& network, Transfers& transfers, Promises& promises,
                   const SitePlan& plan)
    : world_(world),
      network_(network),
      transfers_(transfers),
      promises_(promises),
      plan_(plan),
      identity_{ConsortiumId::literal("health"), Role::site, plan.id.str()} {}

void SiteHost::start() {
  world_.say(plan_.id.str(), "starts");
  core_ = std::make_unique<agent::AgentCore>(settings_of(plan_, instance_, world_.random.next()),
                                             disk_.recover());
  decide(agent::event::Started{});
}

void SiteHost::crash(Millis down) {
  if (!is_alive()) {
    return;
  }
  world_.say(plan_.id.str(), "DIES for {} ms", down.count());
  ++life_;
  core_.reset();
  events_.clear();
  wake_at_.reset();
  session_.reset();
  trainers_.clear();
  outputs_.clear();
  downloads_.clear();
  uploads_.clear();
  moments_left_ = 0;
  network_.peer_died(*this);
  world_.timeline.after(down, [this] { start(); });
}

void SiteHost::arm(std::uint32_t moments, Millis down) {
  moments_left_ = moments;
  down_when_armed_ = down;
}

bool SiteHost::dies(Moment moment, const agent::Effects& effects, const agent::Effect* effect) {
  if (dies_at && dies_at(moment, effects, effect)) {
    crash(std::chrono::seconds(5));
    return true;
  }
  if (moments_left_ > 0 && --moments_left_ == 0) {
    crash(down_when_armed_);
    return true;
  }
  return false;
}

void SiteHost::lose_disk() {
  world_.say(plan_.id.str(), "loses its disk");
  disk_ = {};
  ++instance_;
  promises_.on_disk_lost(plan_.id);
}

void SiteHost::cut_transfers() {
  for (const auto& [blob, transfer] : downloads_) {
    transfer->is_cut = true;
  }
  for (const auto& [key, transfer] : uploads_) {
    transfer->is_cut = true;
  }
}

void SiteHost::end_faults() {
  plan_.fails = plan_.dies = plan_.hangs = plan_.poisons = 0;
  std::vector<agent::TrainerId> hanging;
  for (const auto& [id, trainer] : trainers_) {
    if (trainer.hangs) {
      hanging.push_back(id);
    }
  }
  for (const auto id : hanging) {
    trainers_.erase(id);
    decide(
        agent::event::TrainerGone{id, {{"trainer_died", "killed by hand", "", Scope::site}, true}});
  }
}

std::uint32_t SiteHost::runs(TaskKind kind, Round round) const {
  const auto found = runs_.find({kind, round});
  return found == runs_.end() ? 0 : found->second;
}

void SiteHost::dial_failed() {
  decide(agent::event::DialFailed{{"broker_unreachable", "no answer", "", Scope::broker}});
}
void SiteHost::session_opened(SessionId session) {
  session_ = session;
  decide(agent::event::SessionOpened{});
}
void SiteHost::session_ended(SessionId session) {
  if (session_ == session) {
    session_.reset();
    decide(agent::event::SessionEnded{{"session_lost", "cut", "", Scope::broker}});
  }
}
void SiteHost::hear(SessionId session, const msg::Control& message) {
  if (session_ == session) {
    decide(agent::event::Received{message, true});
  }
}

void SiteHost::later(Millis pause, agent::Event event) {
  world_.timeline.after(pause, [this, life = life_, event = std::move(event)] {
    if (life == life_ && is_alive()) {
      decide(event);
    }
  });
}

void SiteHost::decide(agent::Event event) {
  events_.push_back(std::move(event));
  if (std::exchange(deciding_, true)) {
    return;
  }
  while (is_alive() && !events_.empty()) {
    const auto next = std::move(events_.front());
    events_.pop_front();
    const auto effects = core_->step(next, world_.now());
    if (dies(Moment::before_commit, effects)) {
      break;
    }
    promises_.on_journal(plan_.id, next, effects);
    disk_.commit(effects);
    if (dies(Moment::after_commit, effects)) {
      break;
    }
    for (const auto& effect : effects) {
      std::visit([this](const auto& it) { carry_out(it); }, effect);
      if (dies(Moment::after_action, effects, &effect)) {
        break;
      }
    }
  }
  deciding_ = false;
  plan_wake();
}

void SiteHost::plan_wake() {
  if (!is_alive()) {
    return;
  }
  const auto due = core_->wake_at();
  if (!due || (wake_at_ && *wake_at_ <= *due)) {
    return;
  }
  wake_at_ = std::max(*due, world_.timeline.now());
  world_.timeline.at(*wake_at_, [this, life = life_, at = *wake_at_] {
    if (life != life_ || !is_alive() || wake_at_ != at) {
      return;
    }
    wake_at_.reset();
    const auto wake = core_->wake_at();
    if (wake && *wake <= world_.timeline.now()) {
      decide(agent::event::Woke{});
    } else {
      plan_wake();
    }
  });
}

void SiteHost::carry_out(const agent::effect::Dial&) { network_.dial(*this); }

void SiteHost::carry_out(const agent::effect::HangUp&) {
  if (session_) {
    network_.hang_up_peer(*std::exchange(session_, std::nullopt));
  }
}

void SiteHost::carry_out(const agent::effect::Send& effect) {
  if (session_) {
    network_.to_broker(*session_, effect.message);
  }
}

}  // namespace entente::simulation
