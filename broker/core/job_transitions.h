// Which state a job may go to, and when.
#pragma once

#include <array>
#include <optional>

#include "common/domain/job_state.h"

namespace entente::broker {

enum class JobTrigger : std::uint8_t {
  sites_claimed,    // its turn has come, and its sites are asked
  sites_lost,       // it has too few of them, and nobody else can be asked now
  sites_found,      // enough sites have accepted
  rounds_finished,  // the last model is published and evaluated
  stopped_early,    // its models have ceased to improve
  cannot_go_on,     // deadline, too few sites, a failed merge
  abort_requested,
  pause_requested,
  resume_requested,
  gave_way,  // to a job of a higher priority
};

struct JobTransition {
  JobState from;
  JobTrigger trigger;
  JobState to;
};

constexpr std::array kJobTransitions{
    JobTransition{JobState::queued, JobTrigger::sites_claimed, JobState::matching},
    JobTransition{JobState::queued, JobTrigger::pause_requested, JobState::paused},
    JobTransition{JobState::queued, JobTrigger::cannot_go_on, JobState::failed},
    JobTransition{JobState::queued, JobTrigger::abort_requested, JobState::aborted},
    JobTransition{JobState::matching, JobTrigger::sites_found, JobState::running},
    JobTransition{JobState::matching, JobTrigger::sites_lost, JobState::queued},
    JobTransition{JobState::matching, JobTrigger::pause_requested, JobState::paused},
    JobTransition{JobState::matching, JobTrigger::cannot_go_on, JobState::failed},
    JobTransition{JobState::matching, JobTrigger::abort_requested, JobState::aborted},
    JobTransition{JobState::running, JobTrigger::gave_way, JobState::queued},
    JobTransition{JobState::running, JobTrigger::pause_requested, JobState::paused},
    JobTransition{JobState::running, JobTrigger::rounds_finished, JobState::completed},
    JobTransition{JobState::running, JobTrigger::stopped_early, JobState::completed},
    JobTransition{JobState::running, JobTrigger::cannot_go_on, JobState::failed},
    JobTransition{JobState::running, JobTrigger::abort_requested, JobState::aborted},
    JobTransition{JobState::paused, JobTrigger::resume_requested, JobState::queued},
    JobTransition{JobState::paused, JobTrigger::cannot_go_on, JobState::failed},
    JobTransition{JobState::paused, JobTrigger::abort_requested, JobState::aborted},
    // The last evaluation may come in while the job rests.
    JobTransition{JobState::queued, JobTrigger::rounds_finished, JobState::completed},
    JobTransition{JobState::queued, JobTrigger::stopped_early, JobState::completed},
    JobTransition{JobState::matching, JobTrigger::rounds_finished, JobState::completed},
    JobTransition{JobState::matching, JobTrigger::stopped_early, JobState::completed},
    JobTransition{JobState::paused, JobTrigger::rounds_finished, JobState::completed},
    JobTransition{JobState::paused, JobTrigger::stopped_early, JobState::completed},
};

// The state that `trigger` leads to; nothing when the table has no such row.
[[nodiscard]] constexpr std::optional<JobState> next(JobState from, JobTrigger trigger) {
  for (const auto& row : kJobTransitions) {
    if (row.from == from && row.trigger == trigger) {
      return row.to;
    }
  }
  return std::nullopt;
}

static_assert(
    [] {
      for (const auto& row : kJobTransitions) {
        if (is_terminal(row.from)) {
          return false;
        }
      }
      return true;
    }(),
    "terminal states have no exits");
static_assert(next(JobState::matching, JobTrigger::sites_found) == JobState::running);

}  // namespace entente::broker
