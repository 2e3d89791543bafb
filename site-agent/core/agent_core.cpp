#include "site-agent/core/agent_core.h"

#include <fmt/format.h>

#include <algorithm>

#include "common/base/limits.h"

namespace entente::agent {
namespace {

template <class... Handlers>
struct Overloaded : Handlers... {
  using Handlers::operator()...;
};
template <class... Handlers>
Overloaded(Handlers...) -> Overloaded<Handlers...>;

}  // namespace

AgentCore::AgentCore(AgentSettings settings, Recovered recovered)
    : settings_(std::move(settings)), jitter_(settings_.jitter_seed) {
  for (Promise& promise : recovered.promises) {
    const JobId id = promise.job;
    jobs_.emplace(id, known_job(std::move(promise), true));
  }
  for (const SiteState& state : recovered.states) {
    if (const auto job = jobs_.find(state.job); job != jobs_.end()) {
      job->second.states.emplace(state.round, state);
    }
  }
  for (OutboxEntry& entry : recovered.outbox) {
    const TaskKey key = entry.order.key;
    Outgoing outgoing;
    outgoing.entry = std::move(entry);
    outbox_.emplace(key, std::move(outgoing));
  }
  stored_.insert(recovered.blobs.begin(), recovered.blobs.end());
  for (Decision& decision : recovered.decisions) {
    const std::pair key(decision.job, decision.spec_digest);
    decisions_.insert_or_assign(key, std::move(decision));
  }
  for (SpentRound& spent : recovered.spent) {
    const std::pair key(spent.job, spent.round);
    spent_.emplace(key, std::move(spent));
  }
  spent_damaged_ = recovered.spent_damaged;
  paused_ = std::move(recovered.pause);
}

Effects AgentCore::step(const Event& event, Now now) {
  now_ = now;
  effects_.clear();
  std::visit([this](const auto& it) { on(it); }, event);
  schedule();
  return std::exchange(effects_, {});
}

std::optional<Monotonic> AgentCore::wake_at() const {
  std::optional<Monotonic> earliest;
  const auto consider_time = [&](std::optional<Monotonic> at) {
    if (at && (!earliest || *at < *earliest)) {
      earliest = at;
    }
  };
  consider_time(link_deadline_);
  consider_time(unclaimed_until_);
  consider_time(patience_ends_);
  for (const auto& [id, trainer] : trainers_) {
    if (trainer.state != TrainerState::busy) {
      const auto limit = trainer.state == TrainerState::idle ? kTrainerIdleMax : kPrepareMax;
      consider_time(trainer.since + limit);
    }
  }
  if (at_work()) {
    for (const auto& [key, outgoing] : outbox_) {
      consider_time(outgoing.retry_at);
    }
    for (const auto& [blob, fetch] : fetches_) {
      consider_time(fetch.retry_at);
    }
    for (const Task& task : tasks_) {
      if (is_waiting_its_turn(task)) {
        consider_time(task.heard_at + kWaitingReportEvery);
      }
    }
  }
  return earliest;
}

void AgentCore::on(const event::Started&) {
  withdraw_uncovered();
  for (auto it = outbox_.begin(); it != outbox_.end();) {
    const auto outgoing = it++;
    const auto& blob = outgoing->second.entry.result.blob;
    if (blob && !stored_.contains(*blob)) {
      warn("result_missing",
           fmt::format("the blob {} of a finished task is gone; the task will "
                       "run again when the broker asks",
                       blob->short_hex()),
           outgoing->first.job.str());
      effects_.push_back(effect::DropResult{outgoing->first});
      outbox_.erase(outgoing);
    }
  }
  check_states();
  unclaimed_ = stored_;
  for (const auto& [key, outgoing] : outbox_) {
    if (outgoing.entry.result.blob) {
      unclaimed_.erase(*outgoing.entry.result.blob);
    }
  }
  std::erase_if(unclaimed_, [this](const BlobId& blob) { return is_site_state(blob); });
  if (!unclaimed_.empty()) {
    unclaimed_until_ = now_.monotonic + kUnclaimedModelsKept;
  }
  link_ = Link::dialing;
  effects_.push_back(effect::Dial{});
}

void AgentCore::on(const event::Woke&) {
  const auto due = [this](const std::optional<Monotonic>& at) {
    return at && *at <= now_.monotonic;
  };
  if (due(link_deadline_) && link_ == Link::down) {
    link_deadline_.reset();
    link_ = Link::dialing;
    effects_.push_back(effect::Dial{});
  } else if (due(link_deadline_) && link_ == Link::greeting) {
    effects_.push_back(effect::HangUp{});
    retreat(Refusal{"broker_silent", "the broker did not answer the greeting",
                    "check that the address is an Entente broker of this version", Scope::broker});
  }
  if (due(unclaimed_until_)) {
    unclaimed_until_.reset();
    for (const BlobId& blob : std::exchange(unclaimed_, {})) {
      remove_unless_used(blob);
    }
  }
  stop_stale_trainers();
  if (!at_work()) {
    return;
  }
  for (auto& [key, outgoing] : outbox_) {
    if (due(outgoing.retry_at)) {
      retry(outgoing);
    }
  }
  for (auto& [blob, state] : fetches_) {
    if (due(state.retry_at)) {
      fetch(blob, state);
    }
  }
  for (Task& task : tasks_) {
    if (is_waiting_its_turn(task) && due(task.heard_at + kWaitingReportEvery)) {
      report(task, true);
    }
  }
}

void AgentCore::on(const event::DialFailed& event) {
  if (link_ == Link::dialing) {
    retreat(event.reason);
  }
}

void AgentCore::on(const event::SessionOpened&) {
  link_ = Link::greeting;
  link_deadline_ = now_.monotonic + limits::kHandshakeMax;
  msg::Hello hello;
  hello.version = settings_.advert.version;
  hello.instance = settings_.instance;
  effects_.push_back(effect::Send{std::move(hello)});
}

void AgentCore::on(const event::SessionEnded& event) {
  if (link_ == Link::greeting || link_ == Link::up) {
    retreat(event.reason);
  }
}

// Goes down and plans the next try.
void AgentCore::retreat(const Refusal& reason) {
  const bool was_up = connected();
  link_ = Link::down;
  const Millis pause = dial_backoff_.next(jitter_);
  link_deadline_ = now_.monotonic + pause;
  for (auto& [key, outgoing] : outbox_) {
    outgoing.granted = false;
    outgoing.retry_at.reset();
  }
  warn(was_up ? "session_lost" : "not_connected",
       fmt::format("{}{}{}; next try in {:.1f} s", reason.message, reason.hint.empty() ? "" : "; ",
                   reason.hint, static_cast<double>(pause.count()) / 1000.0));
}

void AgentCore::on(const event::Received& event) {
  const bool greeting_answer = std::holds_alternative<msg::Welcome>(event.message) ||
                               std::holds_alternative<msg::Refused>(event.message);
  if (link_ == Link::greeting && !greeting_answer) {
    effects_.push_back(effect::HangUp{});
    retreat(Refusal{"protocol_violated", "the broker spoke before it said Welcome",
                    "check that both sides run matching versions", Scope::broker});
    return;
  }
  if (link_ != Link::greeting && link_ != Link::up) {
    return;
  }
  const bool ends_something = std::holds_alternative<msg::JobClosed>(event.message) ||
                              std::holds_alternative<msg::ResultVerdict>(event.message);
  if (paused_ && !greeting_answer && !ends_something) {
    return;  // sent before the broker heard of the pause; it is said again after it
  }
  std::visit(Overloaded{
                 [&](const msg::Welcome& it) { welcome(it); },
                 [&](const msg::Refused& it) {
                   effects_.push_back(effect::HangUp{});
                   retreat(it.reason);
                 },
                 [&](const msg::JobOffer& it) { consider(it, event.digest_matches); },
                 [&](const msg::JobClosed& it) { close(it.job, it.reason); },
                 [&](const msg::JobPaused& it) { halt(it.job, it.reason); },
                 [&](const msg::TaskOffer& it) { take(it.order); },
                 [&](const msg::ResultGrant& it) { grant(it); },
                 [&](const msg::ResultVerdict& it) { conclude(it); },
                 [&](const auto&) {
                   warn("message_unexpected", "the broker sent a message that is not for sites");
                 },
             },
             event.message);
}

void AgentCore::welcome(const msg::Welcome& message) {
  if (link_ != Link::greeting) {
    return;
  }
  link_ = Link::up;
  link_deadline_.reset();
  dial_backoff_.reset();
  note("connected", fmt::format("connected to broker \"{}\" (version {}) as session {}",
                                message.broker, message.version, message.session));
  greet();
}

void AgentCore::greet() {
  effects_.push_back(effect::Send{msg::Advert{advert()}});
  if (paused_) {
    return;
  }
  // The broker answers the promise to a job that has ended with JobClosed: the one that it sent
  // may have been lost with a session, and an ended job would be kept forever.
  for (const auto& [id, job] : jobs_) {
    if (job.accepted) {
      say(msg::JobReply{id, job.promise.spec_digest, std::nullopt});
      if (!job.waits.empty()) {
        say(msg::JobWaits{id, job.promise.spec_digest, job.waits});
      }
    }
  }
  for (auto& [key, outgoing] : outbox_) {
    announce(outgoing);
  }
  for (Task& task : tasks_) {
    if (task.stage != Stage::waiting || (is_fetching(task) && !task.held)) {
      report(task, true);
    }
  }
  for (auto& [blob, state] : fetches_) {
    if (!state.running) {
      fetch(blob, state);
    }
  }
}

// Dropped while the session is down or the site paused: greet() says everything open again.
void AgentCore::say(msg::Control message) {
  if (at_work()) {
    effects_.push_back(effect::Send{std::move(message)});
  }
}

void AgentCore::note(std::string event, std::string sentence, std::string job) {
  effects_.push_back(effect::Note{false, std::move(event), std::move(sentence), std::move(job)});
}

void AgentCore::warn(std::string event, std::string sentence, std::string job) {
  effects_.push_back(effect::Note{true, std::move(event), std::move(sentence), std::move(job)});
}

}  // namespace entente::agent
