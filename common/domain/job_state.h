// The states of jobs, rounds, tasks and of a site within a job, with the words used everywhere:
// database, wire, command line.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace entente {

enum class JobState : std::uint8_t {
  queued,
  matching,
  running,
  completed,
  failed,
  aborted,
  paused
};

enum class RoundState : std::uint8_t { selecting, training, merging, done };

// A site's part in a job: asked, then in or out.
enum class Enrolment : std::uint8_t { offered, accepted, declined };

// A task from the broker's view. `pending`: to be sent when the site is connected and committed;
// `running`: the site has it; `uploading`: the result is announced and its blob is on the way.
enum class TaskState : std::uint8_t { pending, running, uploading, done, failed, lost };

[[nodiscard]] constexpr bool is_terminal(JobState state) {
  return state == JobState::completed || state == JobState::failed || state == JobState::aborted;
}

[[nodiscard]] std::string_view to_string(JobState state);
[[nodiscard]] std::string_view to_string(RoundState state);
[[nodiscard]] std::string_view to_string(Enrolment state);
[[nodiscard]] std::string_view to_string(TaskState state);
[[nodiscard]] std::optional<JobState> parse_job_state(std::string_view text);
[[nodiscard]] std::optional<RoundState> parse_round_state(std::string_view text);
[[nodiscard]] std::optional<Enrolment> parse_enrolment(std::string_view text);
[[nodiscard]] std::optional<TaskState> parse_task_state(std::string_view text);

}  // namespace entente
