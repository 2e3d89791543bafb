#include "broker/core/damage.h"

#include <fmt/format.h>

#include "broker/core/kinds.h"

namespace entente::broker {
namespace {

// The newest round of a job that has not ended; null before its first.
RoundRow* newest_round(Snapshot& snapshot, const JobRow& job) {
  RoundRow* last = nullptr;
  for (auto& round : snapshot.rounds) {
    if (!is_terminal(job.state) && round.job == job.job &&
        (last == nullptr || last->round < round.round)) {
      last = &round;
    }
  }
  return last;
}

// Whether the task's update is one that a merge still to come reads.
bool is_awaited(const JobRow& job, const RoundRow& newest, const TaskRow& task) {
  const bool is_merged = newest.state == RoundState::done;
  return task.key.job == job.job && task.key.kind != TaskKind::initialize &&
         task.state == TaskState::done && task.result.blob &&
         (job.spec.async ? task.merged_in >= newest.round + (is_merged ? 1 : 0)
                         : !is_merged && task.key.round == newest.round);
}

void tell(JobRow& job, const TaskKey& key, std::string text, UnixMillis now, TakenBack& result) {
  JobEvent event;
  event.seq = ++job.last_event_seq;
  event.unix_ms = now;
  event.kind = JobEventKind::task_lost;
  event.round = key.round;
  event.site = key.site.str();
  event.text = std::move(text);
  result.rows.emplace_back(job);
  result.rows.emplace_back(EventRow{job.job, std::move(event)});
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
  // Where rounds are buffered its site is at work on another task already, or gets one.
  const bool is_over = has_left || job.spec.async.has_value();
  task.state = is_over ? TaskState::lost : TaskState::pending;
  task.result = {};
  const bool is_of_open_round = !job.spec.async || task.merged_in <= round.round;
  task.merged_in = job.spec.async ? 0 : task.merged_in;
  auto& rows = result.rows;
  rows.emplace_back(task);
  if (is_of_open_round) {
    round.state = RoundState::training;
    round.updates = 0;
    round.train_metrics.clear();
    rows.emplace_back(round);
  }
  for (auto& part : snapshot.parts) {
    if (part.job == job.job && part.site == task.key.site && part.updates_accepted > 0) {
      --part.updates_accepted;
      part.last_round = 0;  // it had rested when it was asked for this one
      rows.emplace_back(part);
    }
  }
  const auto text = fmt::format("{}: its update for round {} was damaged on the broker's disk{}",
                                site, task.key.round, is_over ? "" : "; it is asked for it again");
  result.damages.push_back({"update_damaged", text, job.job, blob});
  tell(job, task.key, text, now, result);
  rows.emplace_back(AuditRow{now, "broker", "update.lose",
                             fmt::format("job/{}/{}", job.job.str(), task.key.round),
                             fmt::format("site/{} {}", site, blob.hex())});
}

// A task that trains from an older version than the newest: its site begins anew from that one.
void forget(JobRow& job, TaskRow& task, const RoundRow& version, UnixMillis now,
            TakenBack& result) {
  task.state = TaskState::lost;
  task.reason = fmt::format("version {}, which it trains from, is damaged on the broker's disk",
                            version.round);
  result.rows.emplace_back(task);
  const auto text =
      fmt::format("{}: {}; it is asked to train from the newest", task.key.site.str(), task.reason);
  result.damages.push_back({"model_damaged", text, job.job, *version.model});
  tell(job, task.key, text, now, result);
}

// What the open round goes on from.
void check_basis(const JobRow& job, const RoundRow& before,
                 const std::function<bool(const BlobId&)>& is_sound, TakenBack& result) {
  if (!is_sound(*before.model)) {
    result.damages.push_back({"model_damaged",
                              fmt::format("the model of round {} is damaged or gone", before.round),
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

void check_tasks_from(Snapshot& snapshot, JobRow& job, const RoundRow& version,
                      const std::function<bool(const BlobId&)>& is_sound, UnixMillis now,
                      TakenBack& result) {
  std::vector<TaskRow*> tasks;
  for (auto& task : snapshot.tasks) {
    if (task.key.job == job.job && task.key.kind == TaskKind::train &&
        task.key.round == version.round + 1 && task.state == TaskState::pending) {
      tasks.push_back(&task);
    }
  }
  if (tasks.empty() || is_sound(*version.model)) {
    return;
  }
  for (auto* task : tasks) {
    forget(job, *task, version, now, result);
  }
}

}  // namespace

TakenBack take_back_damaged(Snapshot& snapshot, const std::function<bool(const BlobId&)>& is_sound,
                            UnixMillis now) {
  TakenBack result;
  for (auto& job : snapshot.jobs) {
    auto* newest = newest_round(snapshot, job);
    if (newest == nullptr) {
      continue;
    }
    const bool is_open = newest->state != RoundState::done;
    for (const auto& version : snapshot.rounds) {
      if (version.job != job.job || !version.model) {
        continue;
      }
      const bool is_basis =
          newest->round > 0 && version.round == rules_of(job.spec).base(newest->round);
      if (is_open && (version.round + 1 == newest->round || is_basis)) {
        check_basis(job, version, is_sound, result);
      } else if (job.spec.async) {
        check_tasks_from(snapshot, job, version, is_sound, now, result);
      }
    }
    for (auto& task : snapshot.tasks) {
      if (is_awaited(job, *newest, task) && !is_sound(*task.result.blob)) {
        reopen(job, *newest, task, snapshot, now, result);
      }
    }
  }
  return result;
}

}  // namespace entente::broker
