// The words of states and kinds are stored and sent: they are read back, and none has changed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/domain/job_kind.h"
#include "common/domain/job_state.h"
#include "common/domain/job_view.h"
#include "common/domain/task.h"

namespace entente {
namespace {

// The words of the enumerators 0 to `last`, after each was parsed back.
template <class Enum, class Parse>
std::vector<std::string> words(Enum last, Parse parse) {
  std::vector<std::string> all;
  for (int i = 0; i <= static_cast<int>(last); ++i) {
    const auto value = static_cast<Enum>(i);
    all.emplace_back(to_string(value));
    EXPECT_EQ(parse(to_string(value)), value);
  }
  EXPECT_EQ(parse(""), std::nullopt);
  EXPECT_EQ(parse("Running"), std::nullopt);
  return all;
}

TEST(Words, OfStatesAreReadBack) {
  using ::testing::ElementsAre;
  EXPECT_THAT(words(JobState::aborted, parse_job_state),
              ElementsAre("queued", "matching", "running", "completed", "failed", "aborted"));
  EXPECT_THAT(words(RoundState::done, parse_round_state),
              ElementsAre("selecting", "training", "merging", "done"));
  EXPECT_THAT(words(Enrolment::declined, parse_enrolment),
              ElementsAre("offered", "accepted", "declined"));
  EXPECT_THAT(words(TaskState::lost, parse_task_state),
              ElementsAre("pending", "running", "uploading", "done", "failed", "lost"));
  EXPECT_THAT(words(TaskKind::predict, parse_task_kind),
              ElementsAre("initialize", "train", "evaluate", "statistics", "predict"));
  EXPECT_THAT(
      words(JobKind::predict, parse_job_kind),
      ElementsAre("train", "evaluate", "statistics", "cyclic", "cross_evaluate", "predict"));
  EXPECT_THAT(words(JobEventKind::aborted, parse_job_event_kind),
              ElementsAre("submitted", "site_accepted", "site_declined", "started", "round_started",
                          "update_accepted", "update_refused", "task_failed", "task_lost",
                          "round_merged", "evaluated", "completed", "failed", "aborted"));
}

}  // namespace
}  // namespace entente
