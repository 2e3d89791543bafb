// What the broker remembers across a restart: one struct per table of the database
// (store/schema.h).
//
// The core emits rows; the store writes them (insert or replace by key) in one transaction per
// batch, before any action of the batch is carried out. At start the store reads them back as a
// Snapshot. Progress and sessions are not remembered.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "common/base/blob_id.h"
#include "common/base/ids.h"
#include "common/base/time.h"
#include "common/domain/job_spec.h"
#include "common/domain/job_state.h"
#include "common/domain/job_view.h"
#include "common/domain/site.h"
#include "common/domain/task.h"

namespace entente::broker {

struct SiteRow {
  SiteId site;
  std::uint64_t instance = 0;  // of the installation that connected last
  SiteAdvert advert;
  UnixMillis last_seen_unix_ms = 0;
  bool draining = false;  // finishes its tasks and gets no new ones
  std::string drain_reason{};
};

struct JobRow {
  JobId job;
  std::string coordinator;
  JobSpec spec;
  Digest spec_digest;
  JobState state = JobState::queued;
  std::string reason;  // why it waits or how it ended
  UnixMillis submitted_unix_ms = 0;
  std::uint64_t last_event_seq = 0;
  Millis elapsed{};          // of its deadline, by the broker's own clock while it ran
  std::uint64_t number = 0;  // in the order of submission
  std::string token{};       // of the request that made it, if that had one
};

// A site's part in a job.
struct PartRow {
  JobId job;
  SiteId site;
  Enrolment enrolment = Enrolment::offered;
  std::string reason;  // of a decline or of the last failure
  std::uint32_t updates_accepted = 0;
  std::uint64_t bytes_out = 0;
  std::uint64_t tensors_out = 0;
  std::uint64_t examples = 0;   // of its last update
  bool told_closed = false;     // JobClosed was sent
  bool has_place = false;       // takes part in the rounds (cohort.h)
  bool silent = false;          // its last task was lost, and nothing was heard of it since
  bool claimed = false;         // the job holds one of the site's slots (claims.h)
  Round last_round = 0;         // the last one that has taken an update of it; 0: none
  double steps_per_second = 0;  // as measured; 0: not yet (balance.h)
  // The site's own part in the newest evaluation that has counted it.
  Metrics evaluate_metrics{};
  std::uint64_t evaluation_examples = 0;
  Round evaluated_round = 0;  // 0: none has
};

struct RoundRow {
  JobId job;
  Round round = 0;
  RoundState state = RoundState::selecting;
  std::uint32_t updates = 0;
  Metrics train_metrics;
  Metrics evaluate_metrics;
  std::optional<BlobId> model;  // of this round, once published
  std::uint64_t model_bytes = 0;
  std::optional<BlobId> server_state{};  // after this round, of a strategy that has one
  std::uint64_t server_state_bytes = 0;
  bool model_removed = false;  // its blob is no longer kept (leftovers.h)
  // Its evaluation is over, if there was one to be (evaluations.h): sites that were counted, and
  // their examples.
  bool evaluated = false;
  std::uint32_t evaluated_at = 0;
  std::uint64_t evaluation_examples = 0;
  Sums sums{};                 // of a job that counts: what its sites have said, added up
  SiteEvaluations at_sites{};  // of one that evaluates each site's model at all
  std::string model_of{};      // the site whose model the round's is; empty: a merged one
};

struct TaskRow {
  TaskKey key;
  TaskState state = TaskState::pending;
  TaskResult result;        // once done
  std::string reason;       // once failed or lost
  std::uint64_t steps = 0;  // that the site is asked for; 0: those of the job's epochs
  // Once done, where more than one update of a site may count, or later than in its own round.
  Round merged_in = 0;             // the version that the update goes into; 0: that of its round
  std::uint64_t accepted_seq = 0;  // of the job's acceptances, from 1; 0: not counted
};

struct ModelRow {
  ModelView model;
};

// What a coordinator has used of the consortium (usage.h).
struct UsageRow {
  std::string coordinator;
  double site_seconds = 0;
};

// A file that the job's coordinator has brought, once it is there.
struct FileRow {
  JobId job;
  BlobId blob;
  std::uint64_t bytes = 0;
};

struct EventRow {
  JobId job;
  JobEvent event;
};

// The store adds sequence number, previous hash and hash.
struct AuditRow {
  UnixMillis unix_ms = 0;
  std::string actor;   // "coordinator/alice", "broker"
  std::string action;  // "job.submit", "update.accept"
  std::string object;  // "job/lung-3"
  std::string detail;
};

using Row = std::variant<SiteRow, JobRow, PartRow, RoundRow, TaskRow, ModelRow, EventRow, AuditRow,
                         UsageRow, FileRow>;

// Everything the core needs to go on. Tasks: those of jobs that have not ended.
struct Snapshot {
  std::vector<SiteRow> sites;
  std::vector<JobRow> jobs;
  std::vector<PartRow> parts;
  std::vector<RoundRow> rounds;
  std::vector<TaskRow> tasks;
  std::vector<UsageRow> usage{};
  std::vector<FileRow> files{};
};

}  // namespace entente::broker
