#include <fmt/format.h>

#include <algorithm>

#include "common/base/check.h"
#include "site-agent/core/agent_core.h"
#include "site-agent/core/peer_text.h"

namespace entente::agent {
namespace {

// The wall clock may be set while the policy waits for an hour of it: it is looked at this often.
constexpr Millis kLookEvery = std::chrono::minutes{1};

std::string with_reason(std::string text, const std::string& reason) {
  return reason.empty() ? text : fmt::format("{}: {}", text, reason);
}

}  // namespace

// Whether the policy lets this go on at this moment.
std::optional<Wait> AgentCore::must_wait_now(const Promise& promise, bool starts_round) const {
  const auto today = day_of(settings_.policy, now_.unix_ms);
  Circumstances moment;
  moment.now = now_.unix_ms;
  moment.starts_round = starts_round;
  moment.approved = approved(promise);
  moment.rounds_today = spent_damaged_;
  moment.rounds_today_of_coordinator = spent_damaged_;
  for (const auto& [key, spent] : spent_) {
    moment.rounds_today += spent.day == today ? 1 : 0;
    moment.rounds_today_of_coordinator +=
        spent.day == today && spent.coordinator == promise.coordinator ? 1 : 0;
  }
  return must_wait(settings_.policy, promise.coordinator, moment);
}

bool AgentCore::starts_round(const TaskOrder& order) const {
  const bool is_of_round = order.key.kind == TaskKind::train ||
                           order.key.kind == TaskKind::statistics ||
                           order.key.kind == TaskKind::predict;
  return is_of_round && !spent_.contains({order.key.job, order.key.round});
}

// Counted before the data is touched; a round that is tried again counts once.
void AgentCore::spend_round(const TaskOrder& order) {
  if (!starts_round(order)) {
    return;
  }
  const auto today = day_of(settings_.policy, now_.unix_ms);
  std::erase_if(spent_, [&](const auto& entry) {
    return entry.second.day < today && !jobs_.contains(entry.first.first);
  });
  SpentRound spent{order.key.job, order.key.round, jobs_.at(order.key.job).promise.coordinator,
                   today};
  effects_.push_back(effect::SpendRound{spent});
  spent_.emplace(std::pair(order.key.job, order.key.round), std::move(spent));
}

// Tells the broker, and plans when to ask again.
void AgentCore::tell_waits(const std::map<JobId, Wait>& waiting) {
  for (auto& [id, job] : jobs_) {
    const auto found = waiting.find(id);
    const std::string sentence = found == waiting.end() ? "" : found->second.sentence;
    if (found != waiting.end() && found->second.until) {
      const Millis ahead{*found->second.until - now_.unix_ms};
      const auto look = now_.monotonic + std::clamp(ahead, Millis{1}, kLookEvery);
      patience_ends_ = std::min(patience_ends_.value_or(look), look);
    }
    if (job.waits == sentence) {
      continue;
    }
    job.waits = sentence;
    note(sentence.empty() ? "job_goes_on" : "job_waits",
         sentence.empty() ? "what it waited for has come" : sentence, id.str());
    say(msg::JobWaits{id, job.promise.spec_digest, sentence});
  }
}

bool AgentCore::approved(const Promise& promise) const {
  const auto found = decisions_.find({promise.job, promise.spec_digest});
  return found != decisions_.end() && found->second.approved &&
         now_.unix_ms < found->second.until_unix_ms;
}

std::optional<Refusal> AgentCore::denial(const JobId& job, const Digest& digest) const {
  const auto found = decisions_.find({job, digest});
  if (found == decisions_.end() || found->second.approved) {
    return std::nullopt;
  }
  return Refusal{"policy_declined",
                 with_reason("denied by the site's people", found->second.reason),
                 "talk to the site, and submit the job again", Scope::site};
}

void AgentCore::on(const event::Decided& event) {
  const Decision& decision = event.decision;
  const auto found = jobs_.find(decision.job);
  if (found == jobs_.end() || found->second.promise.spec_digest != decision.spec_digest) {
    return;  // closed by the broker in the meantime
  }
  decisions_.insert_or_assign(std::pair(decision.job, decision.spec_digest), decision);
  effects_.push_back(effect::SaveDecision{decision});
  note(decision.approved ? "job_approved" : "job_denied",
       with_reason(fmt::format("by {}", decision.who), decision.reason), decision.job.str());
  if (!decision.approved) {
    withdraw(decision.job, *denial(decision.job, decision.spec_digest));
  }
}

// What was agreed to holds no longer: the broker hears why, results stay in the house. A broker
// that is away hears it when it next speaks of the job.
void AgentCore::withdraw(const JobId& id, const Refusal& refusal) {
  const Digest digest = jobs_.at(id).promise.spec_digest;
  forget(id);
  decline(id, digest, refusal, true);
}

// A promise that today's policy or datasets no longer cover is withdrawn, and what was computed
// under it stays in the house: agent.toml speaks last.
void AgentCore::withdraw_uncovered() {
  std::vector<std::pair<JobId, Refusal>> uncovered;
  for (const auto& [id, job] : jobs_) {
    if (auto refusal = objection(job.promise.coordinator, job.promise.spec)) {
      uncovered.emplace_back(id, std::move(*refusal));
    }
  }
  for (const auto& [id, refusal] : uncovered) {
    withdraw(id, refusal);
  }
}

void AgentCore::on(const event::Reconfigured& event) {
  settings_.advert = event.advert;
  settings_.policy = event.policy;
  declines_.clear();
  declines_by_age_.clear();
  note("reconfigured", summary(settings_.policy));
  withdraw_uncovered();
  if (connected()) {
    effects_.push_back(effect::Send{msg::Advert{advert()}});
  }
}

void AgentCore::on(const event::Paused& event) {
  paused_ = event.pause;
  effects_.push_back(effect::SavePause{event.pause});
  warn("paused", with_reason(fmt::format("by {}", event.pause.who), event.pause.reason));
  while (!trainers_.empty()) {
    stop_trainer(trainers_.begin()->first);
  }
  // What a trainer has finished still reaches the outbox, and waits there.
  tasks_.remove_if([](const Task& task) { return task.stage != Stage::storing; });
  for (const auto& [blob, state] : fetches_) {
    if (state.running) {
      effects_.push_back(effect::StopDownload{blob});
    }
  }
  for (auto& [key, outgoing] : outbox_) {
    if (outgoing.uploading) {
      effects_.push_back(effect::StopUpload{key});
    }
    outgoing.granted = false;
    outgoing.retry_at.reset();
  }
  if (connected()) {
    greet();
  }
}

void AgentCore::on(const event::Resumed& event) {
  if (!paused_) {
    return;
  }
  paused_.reset();
  effects_.push_back(effect::ClearPause{});
  note("resumed", fmt::format("by {}", event.who));
  if (connected()) {
    greet();
  }
}

SiteAdvert AgentCore::advert() const {
  SiteAdvert advert = settings_.advert;
  advert.paused = paused_.has_value();
  advert.pause_reason = paused_ ? paused_->reason : "";
  return advert;
}

std::vector<AgentCore::JobStanding> AgentCore::jobs() const {
  std::vector<JobStanding> standings;
  for (const auto& [id, job] : jobs_) {
    const bool awaits = settings_.policy.approve == Approval::manual && !approved(job.promise);
    standings.push_back({&job.promise, job.accepted, awaits, job.waits});
  }
  return standings;
}

std::size_t AgentCore::running_tasks() const {
  return static_cast<std::size_t>(std::count_if(
      tasks_.begin(), tasks_.end(), [](const Task& task) { return task.stage == Stage::running; }));
}

}  // namespace entente::agent
