// Which numbers a job takes from one that has counted.
#include "coordinator/statistics_command.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/domain/statistics.h"

namespace entente::cli {
namespace {

using testing::HasSubstr;

JobView counted() {
  Statistics statistics;
  auto& age = statistics.columns["age"];
  age.sites = 2;
  for (const double value : {20, 40}) {
    add_value(age, value);
  }
  age.low = 20;
  age.high = 40;
  JobView job;
  job.summary.id = JobId::literal("numbers-1");
  job.summary.kind = JobKind::statistics;
  job.summary.state = JobState::completed;
  job.spec.kind = JobKind::statistics;
  job.spec.statistics = StatisticsSpec();
  job.spec.train.dataset = "patients";
  job.statistics = to_sums(statistics);
  return job;
}

JobSpec named_by(JobKind kind, const std::string& dataset) {
  JobSpec spec;
  spec.kind = kind;
  spec.train.dataset = dataset;
  return spec;
}

TEST(ScalesFrom, AreMeanAndDeviationOfEachNumber) {
  const auto scales = scales_from(counted(), named_by(JobKind::train, "patients"));
  ASSERT_TRUE(scales) << scales.error().message;
  ASSERT_EQ(scales->size(), 1U);
  EXPECT_EQ(scales->front().column, "age");
  EXPECT_EQ(scales->front().mean, 30);
  EXPECT_EQ(scales->front().deviation, 10);
}

TEST(ScalesFrom, AJobThatTrainsCountsTheDatasetThatItTrainsOn) {
  const auto scales = scales_from(counted(), named_by(JobKind::train, "others"));
  ASSERT_FALSE(scales);
  EXPECT_THAT(scales.error().message, HasSubstr("and the job trains on \"others\""));
}

// It takes the numbers that the model was trained with, whatever it is judged on.
TEST(ScalesFrom, AJobThatJudgesTakesThoseOfAnotherDataset) {
  EXPECT_TRUE(scales_from(counted(), named_by(JobKind::evaluate, "patients-holdout")));
  auto running = counted();
  running.summary.state = JobState::running;
  const auto scales = scales_from(running, named_by(JobKind::evaluate, "patients-holdout"));
  ASSERT_FALSE(scales);
  EXPECT_THAT(scales.error().message, HasSubstr("evaluate.normalise names numbers-1"));
}

}  // namespace
}  // namespace entente::cli
