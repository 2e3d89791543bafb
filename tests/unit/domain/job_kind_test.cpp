#include "common/domain/job_kind.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/domain/cross_evaluation.h"
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
  if (kind == JobKind::predict) {
    spec.init = InitialModel{JobId::literal("lung-1"), InitialModel::Which::last, 0};
    spec.predict.emplace();
    spec.predict->inputs.bytes.fill(7);
    spec.predict->inputs_bytes = 3 * 16 + 100;
    spec.predict->examples = 3;
  }
  if (kind == JobKind::cross_evaluate) {
    spec.evaluate = EvaluateSpec{"nodules-test", 1};
    spec.sites.max = kCrossSitesMax;
  }
  return spec;
}

void expect_refused(const JobSpec& spec, const std::string& message) {
  const auto model = validate(spec);
  ASSERT_FALSE(model) << message;
  EXPECT_THAT(model.error().message, HasSubstr(message));
}

TEST(JobKind, JobsWithThePartsOfTheirKindAreLegal) {
  for (const auto kind : {JobKind::train, JobKind::evaluate, JobKind::cyclic,
                          JobKind::cross_evaluate, JobKind::predict}) {
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

TEST(JobKind, PredictionsArePutTogetherByWeightAlone) {
  auto spec = job_of(JobKind::predict);
  spec.strategy.parameters["weight_cap"] = 0.5;
  EXPECT_TRUE(validate(spec));
  spec.strategy.parameters["clip_norm"] = 1;
  expect_refused(spec, "strategy.clip_norm is about updates of a model");
  spec = job_of(JobKind::predict);
  spec.strategy.kind = "median";
  expect_refused(spec, "strategy.kind is \"median\"");
  spec = job_of(JobKind::predict);
  spec.strategy.weights = Weighting::steps;
  expect_refused(spec, "nothing is trained");
}

TEST(JobKind, ATrainerHasALegalNameWhateverTheKind) {
  for (const auto kind : {JobKind::train, JobKind::evaluate, JobKind::predict}) {
    auto spec = job_of(kind);
    spec.train.trainer = "My Trainer";
    expect_refused(spec, std::string(to_string(kind)) + ".trainer is \"My Trainer\"");
  }
}

TEST(JobKind, ASiteTakesOnlyTasksOfTheKindThatItsPolicyHasAllowed) {
  EXPECT_TRUE(has_task(JobKind::train, TaskKind::train));
  EXPECT_TRUE(has_task(JobKind::train, TaskKind::evaluate));
  EXPECT_TRUE(has_task(JobKind::cyclic, TaskKind::train));
  EXPECT_TRUE(has_task(JobKind::evaluate, TaskKind::evaluate));
  EXPECT_FALSE(has_task(JobKind::evaluate, TaskKind::train));
  EXPECT_FALSE(has_task(JobKind::evaluate, TaskKind::initialize));
  EXPECT_FALSE(has_task(JobKind::train, TaskKind::statistics));
  EXPECT_TRUE(has_task(JobKind::predict, TaskKind::predict));
  EXPECT_FALSE(has_task(JobKind::predict, TaskKind::evaluate));
}

TEST(JobKind, OneSiteIsTheCohortOfACyclicJob) {
  EXPECT_EQ(cohort_of(job_of(JobKind::train)), 2U);
  EXPECT_EQ(cohort_of(job_of(JobKind::cyclic)), 1U);
}

TEST(JobKind, OneSiteIsTheCohortOfACrossEvaluationWhateverItsQuorum) {
  auto spec = job_of(JobKind::cross_evaluate);
  spec.sites.quorum = 2;
  EXPECT_EQ(cohort_of(spec), 1U);
}

TEST(JobKind, ACrossEvaluationHasAsManySitesAsItsMatrixHasRoomFor) {
  auto spec = job_of(JobKind::cross_evaluate);
  spec.sites.max = kCrossSitesMax + 1;
  expect_refused(spec,
                 "sites.max is 33; a job of the kind \"cross_evaluate\" has from 1 to 32 sites");
  spec.sites.max = 0;
  expect_refused(spec, "sites.max is 0");
  spec.sites.max = kCrossSitesMax;
  spec.sites.min = kCrossSitesMax + 1;
  expect_refused(spec, "sites.min is 33");
}

TEST(JobKind, ACrossEvaluationSendsWholeModelsAndTrainsOnce) {
  auto spec = job_of(JobKind::cross_evaluate);
  spec.train.exclude = {"fc.bias"};
  expect_refused(spec, "train.exclude keeps a part of the model at its site");
  spec = job_of(JobKind::cross_evaluate);
  spec.train.private_tensors = {"fc.bias"};
  expect_refused(spec, "train.private keeps");
  spec = job_of(JobKind::cross_evaluate);
  spec.train.personal = PersonalSpec();
  expect_refused(spec, "train.personal keeps");
  spec = job_of(JobKind::cross_evaluate);
  spec.update.encoding = "topk";
  expect_refused(spec, "update.encoding \"topk\" leaves most of a model to later rounds");
  spec = job_of(JobKind::cross_evaluate);
  spec.train.balanced = true;
  expect_refused(spec, "train.local_steps \"balanced\"");
  spec = job_of(JobKind::cross_evaluate);
  spec.evaluate->every = 2;
  expect_refused(spec, "evaluate.every has no effect");
}

TEST(JobKind, ACrossEvaluationHasNoRoundsStrategySampleStopOrKeep) {
  auto spec = job_of(JobKind::cross_evaluate);
  spec.rounds = 2;
  expect_refused(spec, "has no rounds");
  spec = job_of(JobKind::cross_evaluate);
  spec.strategy.kind = "median";
  expect_refused(spec, "has no [strategy]");
  spec = job_of(JobKind::cross_evaluate);
  spec.sites.sample = SampleSpec{SampleBy::uniform, 1, 0, 1, 0};
  expect_refused(spec, "has no [sites.sample]");
  spec = job_of(JobKind::cross_evaluate);
  spec.keep = Keep::best_and_last;
  expect_refused(spec, "has no keep");
  spec = job_of(JobKind::cross_evaluate);
  spec.evaluate.reset();
  expect_refused(spec, "needs [evaluate]");
}

}  // namespace
}  // namespace entente
