// What people see of jobs, sites and models: the broker's answers to coordinators.
//
// A JobEvent is durable and numbered per job, so that a watcher can resume where it stopped. Live
// progress is not: it is sent beside the events and forgotten.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/base/blob_id.h"
#include "common/base/ids.h"
#include "common/base/time.h"
#include "common/domain/job_spec.h"
#include "common/domain/job_state.h"
#include "common/domain/site.h"
#include "common/domain/task.h"

namespace entente {

enum class JobEventKind : std::uint8_t {
  submitted,
  site_accepted,
  site_declined,
  started,
  round_started,
  update_accepted,
  update_refused,
  task_failed,
  task_lost,
  round_merged,
  evaluated,
  completed,
  failed,
  aborted,
  site_replaced,
  site_returned,
  site_draining,
  site_waits,
  paused,
  resumed,
  queued,       // gives its slots back and waits again
  initialized,  // from another job's model
};

[[nodiscard]] std::string_view to_string(JobEventKind kind);
[[nodiscard]] std::optional<JobEventKind> parse_job_event_kind(std::string_view text);

struct JobEvent {
  std::uint64_t seq = 0;  // per job, from 1, without gaps
  UnixMillis unix_ms = 0;
  JobEventKind kind = JobEventKind::submitted;
  Round round = 0;
  std::string site;  // empty when no one site is meant
  std::string text;  // the whole event as one sentence for people
  Metrics metrics;
  std::uint64_t examples = 0;
  std::uint64_t bytes = 0;

  bool operator==(const JobEvent&) const = default;
};

struct JobSummary {
  JobId id;
  JobKind kind = JobKind::train;
  JobState state = JobState::queued;
  std::string coordinator;
  Round round = 0;  // rounds finished
  Round rounds = 0;
  UnixMillis submitted_unix_ms = 0;
  std::string reason;  // why it waits or how it ended

  bool operator==(const JobSummary&) const = default;
};

// A site's part in a job, and what has left that site for it so far.
struct JobSiteView {
  SiteId site;
  Enrolment enrolment = Enrolment::offered;
  std::string reason;  // of a decline or of the last failure
  bool connected = false;
  std::uint32_t updates_accepted = 0;
  std::uint64_t bytes_out = 0;    // of models and updates received from it
  std::uint64_t tensors_out = 0;  // tensors in them
  std::uint64_t examples = 0;     // of its last update
  std::optional<TaskKind> task;   // what it is doing now
  TaskState task_state = TaskState::pending;
  TaskProgress progress;
  bool stands_by = false;  // has accepted, and all places are taken
  bool sits_out = false;   // has a place, and was not drawn for the open round
  // Its own part in the newest evaluation that has counted it.
  Metrics evaluate_metrics{};
  std::uint64_t evaluation_examples = 0;
  Round evaluated_round = 0;  // 0: none has

  bool operator==(const JobSiteView&) const = default;
};

// What one site has found of a model, on its own examples.
struct SiteEvaluation {
  Metrics metrics;
  std::uint64_t examples = 0;

  bool operator==(const SiteEvaluation&) const = default;
};
using SiteEvaluations = std::map<SiteId, SiteEvaluation>;

struct RoundView {
  Round round = 0;
  RoundState state = RoundState::selecting;
  std::uint32_t updates = 0;
  Metrics train_metrics;     // means over sites, weighted by examples
  Metrics evaluate_metrics;  // over all sites that were counted; empty until evaluated
  std::optional<BlobId> model;
  bool removed = false;                   // the model is no longer kept
  std::uint32_t evaluated_at = 0;         // sites counted in evaluate_metrics
  std::uint64_t evaluation_examples = 0;  // of theirs
  SiteEvaluations at_sites{};             // of a job that shows each one's own
  std::string model_of{};                 // the site whose model it is; empty: a merged one

  bool operator==(const RoundView&) const = default;
};

struct JobView {
  JobSummary summary;
  JobSpec spec;
  Digest spec_digest;
  std::vector<JobSiteView> sites;  // by site id
  std::vector<RoundView> rounds;   // by round; of a long job the newest thousand
  Sums statistics{};               // of all sites together, as far as they are (statistics.h)

  bool operator==(const JobView&) const = default;
};

struct SiteView {
  SiteId site;
  bool connected = false;
  UnixMillis last_seen_unix_ms = 0;
  SiteAdvert advert;
  std::vector<JobId> jobs;  // it takes part in now
  bool draining = false;    // gets no new tasks
  std::string drain_reason;
  std::uint32_t open_tasks = 0;  // of all its jobs

  bool operator==(const SiteView&) const = default;
};

// The receipt of one model version: with the updates at hand, anyone can recompute the model.
struct Contribution {
  SiteId site;
  BlobId update;
  std::uint64_t examples = 0;
  double weight = 0;        // share in the merge, adds up to 1
  std::uint64_t steps = 0;  // that the site has taken
  Round started_from = 0;   // the version that it was trained from

  bool operator==(const Contribution&) const = default;
};

struct ModelView {
  JobId job;  // also the model's name
  Round version = 0;
  BlobId blob;
  std::uint64_t bytes = 0;
  UnixMillis published_unix_ms = 0;
  Digest spec_digest;
  std::string strategy;
  std::optional<BlobId> parent;
  std::optional<BlobId> server_state;       // after this round; the next model is made from it, too
  std::string origin{};                     // "lung-1@3": version 0 is this one of another job
  std::vector<Contribution> contributions;  // by site id; empty for version 0
  Metrics evaluate_metrics;
  bool removed = false;  // only the receipt is kept

  bool operator==(const ModelView&) const = default;
};

}  // namespace entente
