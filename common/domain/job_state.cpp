#include "common/domain/job_state.h"

#include "common/domain/enum_names.h"

namespace entente {
namespace {

constexpr std::array kJobStates{
    EnumName{JobState::queued, "queued"},   EnumName{JobState::matching, "matching"},
    EnumName{JobState::running, "running"}, EnumName{JobState::completed, "completed"},
    EnumName{JobState::failed, "failed"},   EnumName{JobState::aborted, "aborted"},
    EnumName{JobState::paused, "paused"},
};
static_assert(in_order(kJobStates));

constexpr std::array kRoundStates{
    EnumName{RoundState::selecting, "selecting"},
    EnumName{RoundState::training, "training"},
    EnumName{RoundState::merging, "merging"},
    EnumName{RoundState::done, "done"},
};
static_assert(in_order(kRoundStates));

constexpr std::array kEnrolments{
    EnumName{Enrolment::offered, "offered"},
    EnumName{Enrolment::accepted, "accepted"},
    EnumName{Enrolment::declined, "declined"},
};
static_assert(in_order(kEnrolments));

constexpr std::array kTaskStates{
    EnumName{TaskState::pending, "pending"},     EnumName{TaskState::running, "running"},
    EnumName{TaskState::uploading, "uploading"}, EnumName{TaskState::done, "done"},
    EnumName{TaskState::failed, "failed"},       EnumName{TaskState::lost, "lost"},
};
static_assert(in_order(kTaskStates));

}  // namespace

std::string_view to_string(JobState state) { return name_of(kJobStates, state); }
std::string_view to_string(RoundState state) { return name_of(kRoundStates, state); }
std::string_view to_string(Enrolment state) { return name_of(kEnrolments, state); }
std::string_view to_string(TaskState state) { return name_of(kTaskStates, state); }

std::optional<JobState> parse_job_state(std::string_view text) {
  return value_of(kJobStates, text);
}
std::optional<RoundState> parse_round_state(std::string_view text) {
  return value_of(kRoundStates, text);
}
std::optional<Enrolment> parse_enrolment(std::string_view text) {
  return value_of(kEnrolments, text);
}
std::optional<TaskState> parse_task_state(std::string_view text) {
  return value_of(kTaskStates, text);
}

}  // namespace entente
