#include <fmt/format.h>

#include "site-agent/core/agent_core.h"

namespace entente::agent {

void AgentCore::keep(OutboxEntry entry) {
  const TaskKey key = entry.order.key;
  effects_.push_back(effect::SaveResult{entry});
  Outgoing outgoing;
  outgoing.entry = std::move(entry);
  announce(outbox_.insert_or_assign(key, std::move(outgoing)).first->second);
}

void AgentCore::announce(Outgoing& outgoing) {
  if (!at_work()) {
    return;
  }
  if (!outgoing.recorded) {
    record(outgoing, Departure::announced);
  }
  say(msg::ResultAnnounce{outgoing.entry.order.key, outgoing.entry.result});
}

// The ledger knows of it before it leaves: journal effects go first.
void AgentCore::record(Outgoing& outgoing, Departure departure) {
  outgoing.recorded = departure;
  effects_.push_back(effect::RecordDeparture{outgoing.entry, departure});
}

void AgentCore::grant(const msg::ResultGrant& message) {
  const auto found = outbox_.find(message.key);
  if (found == outbox_.end() || found->second.entry.result.blob != message.blob) {
    return;  // of a result that this site has concluded, or never had: nothing leaves
  }
  found->second.granted = true;
  if (!found->second.uploading) {
    upload(found->second);
  }
}

void AgentCore::upload(Outgoing& outgoing) {
  outgoing.retry_at.reset();
  outgoing.uploading = true;
  if (outgoing.recorded != Departure::uploading) {
    record(outgoing, Departure::uploading);
  }
  effects_.push_back(effect::Upload{outgoing.entry.order.key, *outgoing.entry.result.blob});
}

void AgentCore::on(const event::UploadMoved& event) {
  const auto found = outbox_.find(event.key);
  if (found == outbox_.end() || !at_work()) {
    return;
  }
  Outgoing& outgoing = found->second;
  if (!outgoing.reported_at || now_.monotonic - *outgoing.reported_at >= kReportEvery) {
    outgoing.reported_at = now_.monotonic;
    say(msg::TaskReport{event.key, {event.done, event.total, "bytes up"}});
  }
}

// After a success the broker still checks the update; its verdict comes on the control plane.
void AgentCore::on(const event::UploadEnded& event) {
  const auto found = outbox_.find(event.key);
  if (found == outbox_.end()) {
    return;
  }
  Outgoing& outgoing = found->second;
  outgoing.uploading = false;
  if (!event.refusal) {
    outgoing.backoff.reset();
  } else if (event.refusal->code == "transfer_cut") {
    warn("upload_cut",
         fmt::format("round {}: the upload was cut and goes on from there: {}", event.key.round,
                     event.refusal->message),
         event.key.job.str());
    // Without a grant of this session the next announcement brings one.
    if (outgoing.granted) {
      outgoing.retry_at = now_.monotonic + outgoing.backoff.next(jitter_);
    }
  } else if (event.refusal->code == "blob_missing") {
    // Whoever removed the file: the way out is to compute it again.
    const TaskKey key = found->first;
    warn("result_missing", event.refusal->message, key.job.str());
    discard(found);
    settle_state(key, false);
    say(msg::TaskFailed{key, {*event.refusal, true}});
  } else if (event.refusal->code != "stopped") {
    // A broker without room, or one that took the grant back: the verdict or another grant answers
    // the next announcement.
    warn("upload_refused", event.refusal->message, event.key.job.str());
    outgoing.granted = false;
    outgoing.retry_at = now_.monotonic + outgoing.backoff.next(jitter_);
  }
}

void AgentCore::retry(Outgoing& outgoing) {
  outgoing.retry_at.reset();
  if (outgoing.granted) {
    upload(outgoing);
  } else {
    announce(outgoing);
  }
}

void AgentCore::conclude(const msg::ResultVerdict& message) {
  const auto found = outbox_.find(message.key);
  if (found == outbox_.end()) {
    give_up(message);
    return;
  }
  record(found->second, message.refusal ? Departure::refused : Departure::accepted);
  if (message.refusal) {
    warn("result_refused", fmt::format("round {}: {}", message.key.round, message.refusal->message),
         message.key.job.str());
  }
  // The initial model, once accepted, is what round 1 starts from: keep it as a cached model.
  const auto& blob = found->second.entry.result.blob;
  const auto job = jobs_.find(message.key.job);
  if (message.key.kind == TaskKind::initialize && !message.refusal && blob && job != jobs_.end()) {
    want_model(job->second, *blob);
  }
  discard(found);
  settle_state(message.key, !message.refusal);
}

// The broker's last word on a task that is still under way: nobody waits for its result.
void AgentCore::give_up(const msg::ResultVerdict& message) {
  const auto task = find(message.key);
  if (task == tasks_.end() || !message.refusal) {
    return;
  }
  note("task_given_up", fmt::format("round {}: {}", message.key.round, message.refusal->message),
       message.key.job.str());
  drop(task);
}

void AgentCore::discard(std::map<TaskKey, Outgoing>::iterator outgoing) {
  const auto blob = outgoing->second.entry.result.blob;
  if (outgoing->second.uploading) {
    effects_.push_back(effect::StopUpload{outgoing->first});
  }
  effects_.push_back(effect::DropResult{outgoing->first});
  outbox_.erase(outgoing);
  if (blob) {
    remove_unless_used(*blob);
  }
}

}  // namespace entente::agent
