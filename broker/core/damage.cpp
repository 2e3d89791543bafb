#include "broker/core/damage.h"

#include <fmt/format.h>

#include "broker/core/kinds.h"

namespace entente::broker {
namespace {

// The round that a job is in; null before its first, and for a job that has ended.
RoundRow* open_round(Snapshot& snapshot, const JobRow& job) {
  RoundRow* last = nullptr;
  for (auto& round : snapshot.rounds) {
    if (!is_terminal(job.state) && round.job == job.job &&
        (last == nullptr || last->round < round.round)) {
      last = &round;
    }
  }
  return last != nullptr && last->state != RoundState::done ? last : nullptr;
}

void reopen(JobRow& job, RoundRow& round, TaskRow& task, Snapshot& snapshot, UnixMillis now,
            TakenBack& result) {
  const auto site = task.key.site.str();
  const auto blob = *task.result.blob;
  const bool has_left =
      std::any_of(snapshot.parts.begin(), snapshot.parts.end(), [&](const PartRow& part) {
        return part.job == job.job && part.site == task.key.site &&
               part.enrolment == Enrolment::declined;
      });
  task.state = has_left ? TaskState::lost : TaskState::pending;
  task.result = {};
  round.state = RoundState::training;
  round.updates = 0;
  round.train_metrics.clear();
  auto& rows = result.rows;
  rows.emplace_back(task);
  rows.emplace_back(round);
  for (auto& part : snapshot.parts) {
    if (part.job == job.job && part.site == task.key.site && part.updates_accepted > 0) {
      --part.updates_accepted;
      part.last_round = 0;  // it had rested when it was asked for this one
      rows.emplace_back(part);
    }
  }
  JobEvent event;
  event.seq = ++job.last_event_seq;
  event.unix_ms = now;
  event.kind = JobEventKind::task_lost;
  event.round = round.round;
  event.site = site;
  event.text = fmt::format(
      "{}: its update for round {} was damaged on the broker's disk; it is asked to train again",
      site, round.round);
  result.damages.push_back({"update_damaged", event.text, job.job, blob});
  rows.emplace_back(job);
  rows.emplace_back(EventRow{job.job, event});
  rows.emplace_back(AuditRow{now, "broker", "update.lose",
                             fmt::format("job/{}/{}", job.job.str(), round.round),
                             fmt::format("site/{} {}", site, blob.hex())});
}

}  // namespace

TakenBack take_back_damaged(Snapshot& snapshot, const std::function<bool(const BlobId&)>& is_sound,
                            UnixMillis now) {
  TakenBack result;
  for (auto& job : snapshot.jobs) {
    auto* round = open_round(snapshot, job);
    if (round == nullptr) {
      continue;
    }
    for (const auto& before : snapshot.rounds) {
      const bool is_read =
          before.round + 1 == round->round ||
          (round->round > 0 && before.round == rules_of(job.spec).base(round->round));
      if (before.job != job.job || !is_read) {
        continue;
      }
      if (before.model && !is_sound(*before.model)) {
        result.damages.push_back(
            {"model_damaged", fmt::format("the model of round {} is damaged or gone", before.round),
             job.job, *before.model});
      }
      if (before.server_state && !is_sound(*before.server_state)) {
        result.damages.push_back(
            {"state_damaged",
             fmt::format("the state of the server's optimiser after round {} is damaged or gone",
                         before.round),
             job.job, *before.server_state});
      }
    }
    for (auto& task : snapshot.tasks) {
      if (task.key.job == job.job && task.key.round == round->round &&
          task.key.kind != TaskKind::initialize && task.state == TaskState::done &&
          task.result.blob && !is_sound(*task.result.blob)) {
        reopen(job, *round, task, snapshot, now, result);
      }
    }
  }
  return result;
}

}  // namespace entente::broker
