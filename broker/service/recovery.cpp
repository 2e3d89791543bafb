#include "broker/service/recovery.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "broker/store/consistency.h"
#include "common/runtime/log.h"
#include "common/wire/job_codec.h"

namespace entente::broker {
namespace {

tl::unexpected<Refusal> damaged(const std::string& finding) {
  return refuse("database_corrupt", "the broker's database is damaged: " + finding,
                "see all of it with: entente-broker check DIR; then restore the last backup",
                Scope::broker);
}

Expected<void> check_rows(BrokerStore& store, const Snapshot& snapshot) {
  for (const auto& job : snapshot.jobs) {
    if (wire::spec_digest(job.spec) != job.spec_digest) {
      return damaged(
          fmt::format("the spec of job \"{}\" is not the one that was submitted", job.job.str()));
    }
  }
  if (const auto row = store.first_broken_audit_row()) {
    return damaged(
        fmt::format("row {} of its audit log does not follow from the one before", *row));
  }
  if (const auto found = store.contradictions(Rules::audited, 1); !found.empty()) {
    return damaged(found.front());
  }
  return {};
}

// The round that a running job is in; null before its first and for one that is no longer running.
RoundRow* open_round(Snapshot& snapshot, const JobRow& job) {
  RoundRow* last = nullptr;
  for (auto& round : snapshot.rounds) {
    if (job.state == JobState::running && round.job == job.job &&
        (last == nullptr || last->round < round.round)) {
      last = &round;
    }
  }
  return last != nullptr && last->state != RoundState::done ? last : nullptr;
}

// As if the site had never answered: the broker offers the task again.
void reopen(JobRow& job, RoundRow& round, TaskRow& task, Snapshot& snapshot, UnixMillis now,
            std::vector<Row>& rows) {
  const auto site = task.key.site.str();
  const auto blob = *task.result.blob;
  task.state = TaskState::pending;
  task.result = {};
  round.state = RoundState::training;
  rows.emplace_back(task);
  rows.emplace_back(round);
  for (auto& part : snapshot.parts) {
    if (part.job == job.job && part.site == task.key.site && part.updates_accepted > 0) {
      --part.updates_accepted;
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
  log::warning("update_damaged", event.text, {{"job", job.job.str()}, {"blob", blob.hex()}});
  rows.emplace_back(job);
  rows.emplace_back(EventRow{job.job, event});
  rows.emplace_back(AuditRow{now, "broker", "update.lose",
                             fmt::format("job/{}/{}", job.job.str(), round.round),
                             fmt::format("site/{} {}", site, blob.hex())});
}

void recover_job(BlobStore& blobs, Snapshot& snapshot, JobRow& job, UnixMillis now,
                 std::vector<Row>& rows) {
  auto* round = open_round(snapshot, job);
  if (round == nullptr) {
    return;
  }
  for (const auto& earlier : snapshot.rounds) {
    if (earlier.job == job.job && earlier.round + 1 == round->round && earlier.model &&
        !blobs.vouch_for(*earlier.model)) {
      log::warning("model_damaged",
                   fmt::format("the model of round {} is damaged or gone", earlier.round),
                   {{"job", job.job.str()}, {"blob", earlier.model->hex()}});
    }
  }
  for (auto& task : snapshot.tasks) {
    if (task.key.job == job.job && task.key.round == round->round &&
        task.key.kind == TaskKind::train && task.state == TaskState::done && task.result.blob &&
        !blobs.vouch_for(*task.result.blob)) {
      reopen(job, *round, task, snapshot, now, rows);
    }
  }
}

}  // namespace

Expected<void> recover(BrokerStore& store, BlobStore& blobs, Snapshot& snapshot, UnixMillis now) {
  if (auto sound = check_rows(store, snapshot); !sound) {
    return sound;
  }
  std::vector<Row> rows;
  for (auto& job : snapshot.jobs) {
    recover_job(blobs, snapshot, job, now, rows);
  }
  if (!rows.empty()) {
    store.write(rows);
  }
  return {};
}

}  // namespace entente::broker
