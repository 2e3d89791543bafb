// The broker's state in memory: what the rows say, plus what only matters while the process lives
// (sessions, leases, progress, watchers). Owned by the loop thread; changed only by step().
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "broker/core/rows.h"
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
  bool advertised = false;           // in this session: offers may be sent
};

// A task whose result is not yet settled, or was settled in the current round.
struct Task {
  TaskRow row;
  Monotonic last_progress{};  // start of the stall window
  bool running = false;       // the site has reported on it since this process started
  TaskProgress progress;
  std::optional<TaskResult> announced;  // result whose blob is under way
  bool stall_reported = false;
};

[[nodiscard]] inline bool is_open(const Task& task) {
  return task.row.state == TaskState::pending || task.row.state == TaskState::running ||
         task.row.state == TaskState::uploading;
}

struct Part {
  PartRow row;
  Monotonic offered_at{};
};

struct Job {
  JobRow row;
  std::shared_ptr<const TensorLayout> layout;
  Monotonic deadline{};
  Monotonic saved_at{};  // with the elapsed part of the deadline
  std::map<SiteId, Part> parts;
  std::map<Round, RoundRow> rounds;
  std::map<TaskKey, Task> tasks;  // of the current round, and evaluations not yet settled

  [[nodiscard]] const JobId& id() const { return row.job; }
  [[nodiscard]] const JobSpec& spec() const { return row.spec; }
  [[nodiscard]] bool ended() const { return is_terminal(row.state); }
};

// A coordinator that follows a job; one per session and job.
struct Watcher {
  SessionId session = 0;
  std::uint64_t request = 0;
  JobId job;
  Monotonic last_progress_sent{};
  bool progress_waits = false;
};

struct State {
  std::string broker_name;
  std::string version;
  std::map<SessionId, Session> sessions;
  std::map<SiteId, Site> sites;
  std::map<JobId, Job> jobs;
  std::vector<Watcher> watchers;
};

}  // namespace entente::broker
