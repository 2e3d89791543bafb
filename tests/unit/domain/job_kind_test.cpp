#include "common/domain/job_kind.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/domain/job_spec.h"

namespace entente {
namespace {

using testing::HasSubstr;

JobSpec job_of(JobKind kind) {
  JobSpec spec;
  spec.name = "lung";
  spec.kind = kind;
  spec.deadline = std::chrono::hours{1};
  spec.stall_window = std::chrono::minutes{5};
  spec.sites.min = 2;
  spec.model.input = {4};
  spec.model.layers = {{"linear", "fc", {{"out_features", std::int64_t{3}}}}};
  spec.train.dataset = "nodules";
  if (kind == JobKind::evaluate) {
    spec.evaluate = EvaluateSpec{"nodules", 1};
    spec.init = InitialModel{JobId::literal("lung-1"), InitialModel::Which::last, 0};
  }
  return spec;
}

void expect_refused(const JobSpec& spec, const std::string& message) {
  const auto model = validate(spec);
  ASSERT_FALSE(model) << message;
  EXPECT_THAT(model.error().message, HasSubstr(message));
}

TEST(JobKind, JobsWithThePartsOfTheirKindAreLegal) {
  for (const auto kind : {JobKind::train, JobKind::evaluate, JobKind::cyclic}) {
    const auto model = validate(job_of(kind));
    EXPECT_TRUE(model) << to_string(kind) << ": " << model.error().message;
  }
}

TEST(JobKind, APartThatItDoesNotHaveIsRefused) {
  auto spec = job_of(JobKind::evaluate);
  spec.rounds = 2;
  expect_refused(spec, "a job of the kind \"evaluate\" has no rounds");
  spec = job_of(JobKind::evaluate);
  spec.train.local_epochs = 3;
  expect_refused(spec, "a job of the kind \"evaluate\" has no [train]");
  spec = job_of(JobKind::evaluate);
  spec.strategy.kind = "median";
  expect_refused(spec, "a job of the kind \"evaluate\" has no [strategy]");
  spec = job_of(JobKind::cyclic);
  spec.sites.sample = SampleSpec{SampleBy::uniform, 1, 0, 1, 0};
  expect_refused(spec, "a job of the kind \"cyclic\" has no [sites.sample]");
  spec = job_of(JobKind::cyclic);
  spec.sites.quorum = 2;
  expect_refused(spec, "a job of the kind \"cyclic\" has no sites.quorum");
}

TEST(JobKind, APartThatItNeedsIsAskedFor) {
  auto spec = job_of(JobKind::evaluate);
  spec.init.reset();
  expect_refused(spec, "a job of the kind \"evaluate\" needs init");
  spec = job_of(JobKind::evaluate);
  spec.evaluate.reset();
  expect_refused(spec, "a job of the kind \"evaluate\" needs [evaluate]");
}

TEST(JobKind, AJobThatEvaluatesNamesOneDatasetAndALossThatFitsIt) {
  auto spec = job_of(JobKind::evaluate);
  spec.evaluate->dataset = "others";
  expect_refused(spec, "evaluate.dataset");
  spec = job_of(JobKind::evaluate);
  spec.train.loss = Loss::mse;
  EXPECT_TRUE(validate(spec));
  spec.train.class_weights = {1, 2, 3};
  EXPECT_FALSE(validate(spec)) << "mse knows no classes";
}

TEST(JobKind, ASiteTakesOnlyTasksOfTheKindThatItsPolicyHasAllowed) {
  EXPECT_TRUE(has_task(JobKind::train, TaskKind::train));
  EXPECT_TRUE(has_task(JobKind::train, TaskKind::evaluate));
  EXPECT_TRUE(has_task(JobKind::cyclic, TaskKind::train));
  EXPECT_TRUE(has_task(JobKind::evaluate, TaskKind::evaluate));
  EXPECT_FALSE(has_task(JobKind::evaluate, TaskKind::train));
  EXPECT_FALSE(has_task(JobKind::evaluate, TaskKind::initialize));
  EXPECT_FALSE(has_task(JobKind::train, TaskKind::statistics));
}

TEST(JobKind, OneSiteIsTheCohortOfACyclicJob) {
  EXPECT_EQ(cohort_of(job_of(JobKind::train)), 2U);
  EXPECT_EQ(cohort_of(job_of(JobKind::cyclic)), 1U);
}

}  // namespace
}  // namespace entente
