// The broker's state in memory: what the rows say, plus what only matters while the process lives
// (sessions, leases, progress, watchers). Owned by the loop thread; changed only by step().
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "broker/core/candidates.h"
#include "broker/core/evaluator.h"
#include "broker/core/queue_settings.h"
#include "broker/core/rows.h"
#include "broker/core/scheduler.h"
#include "broker/core/usage.h"
#include "common/base/ids.h"
#include "common/base/time.h"
#include "common/domain/identity.h"
#include "common/domain/layers.h"

namespace entente::broker {

// A control session. `greeted` once its Hello was answered with Welcome.
struct Session {
  SessionId id = 0;
  Identity identity;
  bool greeted = false;
};

struct Site {
  SiteRow row;
  std::optional<SessionId> session;  // set while connected
  bool advertised = false;           // in this session, and not paused: offers may be sent
  SiteIndex index = 0;               // in the order in which the broker came to know them
  std::uint32_t claimed = 0;         // of its slots
};

// Since when the site has been seen to train, and what share of its work it had before it then.
struct Training {
  Monotonic since{};
  double share_left = 1;
};

// A task whose result is not yet settled, or was settled in the current round.
struct Task {
  TaskRow row;
  Monotonic last_progress{};  // start of the stall window
  bool running = false;       // the site has reported on it since this process started
  TaskProgress progress{};
  std::optional<TaskResult> announced{};  // result whose blob is under way
  bool stall_reported = false;
  std::optional<Training> training{};
  double steps_per_second = 0;  // as measured (balance.h); 0: not
};

[[nodiscard]] inline bool is_open(const Task& task) {
  return task.row.state == TaskState::pending || task.row.state == TaskState::running ||
         task.row.state == TaskState::uploading;
}

struct Part {
  PartRow row;
  Monotonic offered_at{};
  // The last update that was accepted, whose round may be over before the site hears so.
  std::optional<TaskKey> accepted_key{};
  std::optional<BlobId> accepted_update{};
  std::optional<Monotonic> wait_told_at{};  // when the job's events said last that it waits
};

// It has been asked, and its answer is awaited with a slot in hand.
[[nodiscard]] inline bool is_thinking(const Part& part) {
  return part.row.claimed && part.row.enrolment == Enrolment::offered;
}

struct Job {
  JobRow row;
  Candidates candidates;
  std::optional<Wait> wait;                    // while it is queued
  std::uint32_t claims = 0;                    // slots that it holds
  std::uint32_t vacancies = 0;                 // places that nobody in the job can take (cohort.h)
  std::shared_ptr<const TensorLayout> layout;  // of the model
  std::shared_ptr<const TensorLayout> update_layout;  // of what its sites send of it
  std::optional<JobId> gives_way_to;    // after this round, while it runs (scheduler.h)
  std::optional<Monotonic> deadline{};  // none while its clock stands still
  Monotonic saved_at{};                 // with the elapsed part of the deadline
  std::map<SiteId, Part> parts;
  std::map<Round, RoundRow> rounds;
  // Of the current round, and evaluations not yet settled; of a job that trains asynchronously what
  // its buffers need (buffering.h).
  std::map<TaskKey, Task> tasks;
  std::uint64_t accepted = 0;  // the number of the last acceptance, where they are counted
  std::set<BlobId> files;      // that its coordinator has brought (files.h)

  [[nodiscard]] const JobId& id() const { return row.job; }
  [[nodiscard]] const JobSpec& spec() const { return row.spec; }
  [[nodiscard]] bool ended() const { return is_terminal(row.state); }
  // Holds slots, and its rounds go on. One that has ended, is paused or waits again does not.
  [[nodiscard]] bool runs() const { return row.state == JobState::running; }
};

// A coordinator that follows a job; one per session and job.
struct Watcher {
  SessionId session = 0;
  std::uint64_t request = 0;
  JobId job;
  Monotonic last_progress_sent{};
  bool progress_waits = false;
};

struct Queue {
  QueueSettings settings;
  bool is_stale = true;           // something has changed that claims may follow from
  std::optional<JobId> reserved;  // the job that held the reservation in the last plan
  Monotonic usage_saved_at{};
};

struct State {
  std::string broker_name;
  std::string version;
  const Evaluator* evaluator = &no_expressions();
  std::map<SessionId, Session> sessions;
  std::map<SiteId, Site> sites;
  std::map<JobId, Job> jobs;
  std::vector<std::uint64_t> adverts;  // by Site::index, another number after each change
  std::map<std::string, Usage> usage;  // by coordinator
  Queue queue;
  std::vector<Watcher> watchers;
};

}  // namespace entente::broker
