// Losses, optimizers and what bounds their steps, against arithmetic done by hand or by torch.
#include <gmock/gmock.h>

#include <cmath>

#include "common/domain/freezing.h"
#include "common/domain/measures.h"
#include "site-agent/training/local_training.h"
#include "site-agent/training/optimizers.h"

namespace entente::agent {
namespace {

using testing::ElementsAre;
using testing::Key;

constexpr double kNear = 1e-6;

void ignore(const contract::Progress&) {}

TrainSpec spec_of(Loss loss, std::vector<double> class_weights = {}) {
  TrainSpec spec;
  spec.loss = loss;
  spec.class_weights = std::move(class_weights);
  return spec;
}

double mean(const TrainSpec& spec, const torch::Tensor& outputs, const torch::Tensor& labels) {
  return Objective(spec, torch::kCPU).mean(outputs, labels).item<double>();
}

torch::Tensor labels(const std::vector<std::int64_t>& classes) {
  return torch::tensor(classes, torch::kInt64);
}

torch::Tensor column(const std::vector<float>& values) {
  return torch::tensor(values).unsqueeze(1);
}

// By hand: log(1 + e^-2) of the one that is right, log(1 + e) of the other.
TEST(Losses, BinaryCrossEntropyIsOfLogits) {
  const double right = std::log1p(std::exp(-2.0));
  const double wrong = std::log1p(std::exp(1.0));
  const auto outputs = column({2, 1});
  EXPECT_NEAR(mean(spec_of(Loss::bce), outputs, labels({1, 0})), (right + wrong) / 2, kNear);
  EXPECT_NEAR(mean(spec_of(Loss::bce, {3, 1}), outputs, labels({1, 0})), (right + 3 * wrong) / 2,
              kNear);
  EXPECT_NEAR(mean(spec_of(Loss::bce), outputs, column({1, 0})), (right + wrong) / 2, kNear);
}

// By hand: of one score max(0, 1 - y s): 0, 2, 0.5. Of three scores torch's multi_margin_loss:
// ((1 - 2 + 1.5) + max(0, 1 - 2 + 0)) / 3.
TEST(Losses, HingeIsOfOneScoreOrOfOneForEachClass) {
  EXPECT_NEAR(mean(spec_of(Loss::hinge), column({2, 1, 0.5}), labels({1, 0, 1})), 2.5 / 3, kNear);
  EXPECT_NEAR(mean(spec_of(Loss::hinge, {2, 1}), column({2, 1, 0.5}), labels({1, 0, 1})), 4.5 / 3,
              kNear);
  EXPECT_NEAR(mean(spec_of(Loss::hinge), torch::tensor({{1.5F, 2.0F, 0.0F}}), labels({1})), 0.5 / 3,
              kNear);
}

TEST(Losses, NumbersAreSquaredOrAbsoluteDistances) {
  EXPECT_NEAR(mean(spec_of(Loss::mse), column({1, 4}), column({0, 2})), 2.5, kNear);
  EXPECT_NEAR(mean(spec_of(Loss::l1), column({1, 4}), column({0, 2})), 1.5, kNear);
}

// As torch: the mean over the weights. By hand: scores 0 and 0 lose log 2, and log 3 and 0 lose
// log 4 where the second is right, so (1 log 2 + 9 log 4) / 10.
TEST(Losses, CrossEntropyIsTheMeanOverTheWeights) {
  const auto outputs = torch::tensor({{0.0F, 0.0F}, {std::log(3.0F), 0.0F}});
  EXPECT_NEAR(mean(spec_of(Loss::cross_entropy, {1, 9}), outputs, labels({0, 1})),
              1.9 * std::log(2.0), kNear);
}

// One parameter that starts at 1, whose gradient is its coefficient in the loss.
struct Step {
  torch::Tensor parameter = torch::ones({1}, torch::requires_grad());

  double after(const TrainSpec& spec, std::uint32_t round, std::vector<double> gradients) {
    auto optimizer = make_optimizer(spec, round, {parameter});
    EXPECT_TRUE(optimizer.has_value());
    for (const double gradient : gradients) {
      (*optimizer)->zero_grad();
      (parameter * gradient).sum().backward();
      (*optimizer)->step();
    }
    return parameter.item<double>();
  }
};

double after(OptimizerSpec optimizer, std::vector<double> gradients) {
  TrainSpec spec;
  spec.optimizer = std::move(optimizer);
  return Step().after(spec, 1, std::move(gradients));
}

// By hand, from the formulas of torch's documentation; the parameter starts at 1.
TEST(Optimizers, TakeTheStepsOfTheirFormulas) {
  EXPECT_NEAR(after({"sgd", 0.1}, {2}), 1 - 0.2, kNear);
  EXPECT_NEAR(after({"sgd", 0.1, 0.5}, {2, 2}), 1 - 0.2 - 0.3, kNear);
  EXPECT_NEAR(after({"sgd", 0.1, 0.5, 0.0, {{"nesterov", true}}}, {2}), 1 - 0.1 * (2 + 0.5 * 2),
              kNear);
  EXPECT_NEAR(after({"sgd", 0.1, 0.0, 0.5}, {2}), 1 - 0.1 * 2.5, kNear);
  EXPECT_NEAR(after({"adam", 0.1}, {2}), 1 - 0.1, kNear) << "the first step is the rate";
  EXPECT_NEAR(after({"adamw", 0.1, 0.0, 0.5}, {2}), 1 - 0.1 * 0.5 - 0.1, kNear)
      << "decay apart from the gradient";
  EXPECT_NEAR(after({"rmsprop", 0.1, 0.0, 0.0, {{"alpha", 0.75}}}, {2}), 1 - 0.1 * 2 / 1, kNear)
      << "the root of 0.25 * 4 is 1";
  EXPECT_NEAR(after({"adagrad", 0.1}, {2, 2}), 1 - 0.1 - 0.1 * 2 / std::sqrt(8), kNear);
}

TEST(Optimizers, HaveTheRateOfTheRound) {
  TrainSpec spec;
  spec.optimizer = {"sgd", 0.1};
  spec.schedule = {"step", {{"every", std::int64_t{1}}, {"gamma", 0.5}}};
  EXPECT_NEAR(Step().after(spec, 1, {1}), 0.9, kNear);
  EXPECT_NEAR(Step().after(spec, 3, {1}), 1 - 0.025, kNear);
}

// Two inputs, answer 3 * x0 - x1: 64 examples.
Dataset plane() {
  torch::manual_seed(1);
  Dataset data;
  data.shape = {2};
  data.targets = 1;
  const auto inputs = torch::randn({64, 2});
  for (std::int64_t i = 0; i < 64; ++i) {
    const auto x0 = inputs[i][0].item<float>();
    const auto x1 = inputs[i][1].item<float>();
    data.features.insert(data.features.end(), {x0, x1});
    data.values.push_back(3 * x0 - x1);
  }
  return data;
}

Model linear_model(const std::vector<std::string>& freeze = {}) {
  auto resolved =
      *resolve_model({{2}, {{"linear", "output", {{"out_features", std::int64_t{1}}}}}});
  auto frozen = *frozen_tensors(freeze, resolved);
  auto model = *Model::build(std::move(resolved), torch::kCPU, std::move(frozen));
  torch::NoGradGuard no_grad;
  for (const auto& tensor : model.tensors()) {
    tensor.zero_();
  }
  return model;
}

TrainSpec regression() {
  auto spec = spec_of(Loss::mse);
  spec.batch_size = 8;
  spec.local_epochs = 20;
  spec.optimizer = {"sgd", 0.05};
  return spec;
}

TEST(LocalTraining, LinearRegressionFindsThePlane) {
  const Examples examples(plane(), torch::kCPU);
  auto model = linear_model();
  const auto result = train_locally(model, examples, regression(), 1, 7, 0, ignore);
  ASSERT_TRUE(result.has_value()) << result.error().message;
  EXPECT_NEAR(model.tensors()[0][0][0].item<double>(), 3, 1e-3);
  EXPECT_NEAR(model.tensors()[0][0][1].item<double>(), -1, 1e-3);
  EXPECT_THAT(result->metrics, ElementsAre(Key("loss"), Key("mae"), Key("mse")));
  const auto measured =
      evaluate_model(model, examples, Objective(regression(), torch::kCPU), ignore);
  EXPECT_GT(measured->metrics.at("r2"), 0.9999);
  EXPECT_EQ(measured->metrics, metrics_from(measured->sums));
}

TEST(LocalTraining, ClippingBoundsEveryStep) {
  const Examples examples(plane(), torch::kCPU);
  auto spec = regression();
  spec.batch_size = 64;
  spec.local_epochs = 1;
  spec.optimizer.lr = 1;
  const auto moved = [&] {
    auto model = linear_model();
    EXPECT_TRUE(train_locally(model, examples, spec, 1, 7, 0, ignore).has_value());
    return torch::cat({model.tensors()[0].flatten(), model.tensors()[1]});
  };
  const auto free = moved();
  spec.clip_norm = 0.5;
  EXPECT_NEAR(moved().norm().item<double>(), 0.5, 1e-5);
  EXPECT_TRUE(torch::allclose(moved() / moved().norm(), free / free.norm(), 1e-4));
  spec.clip_norm = 0;
  spec.clip_value = 0.25;
  EXPECT_NEAR(moved().abs().max().item<double>(), 0.25, kNear);
}

TEST(LocalTraining, WhatIsFrozenStaysAndItsUpdateIsZero) {
  const Examples examples(plane(), torch::kCPU);
  auto model = linear_model({"*.weight"});
  {
    torch::NoGradGuard no_grad;
    model.tensors()[0].fill_(0.5);
  }
  ASSERT_TRUE(train_locally(model, examples, regression(), 1, 7, 0, ignore).has_value());
  EXPECT_TRUE(torch::equal(model.tensors()[0], torch::full({1, 2}, 0.5)));
  EXPECT_NE(model.tensors()[1].item<double>(), 0);
}

TEST(LocalTraining, ALastBatchOfOneExampleIsLeftOutWhereExamplesAreCompared) {
  auto data = plane();
  data.features.resize(2 * 9);
  data.values.resize(9);
  const Examples examples(std::move(data), torch::kCPU);
  auto resolved = *resolve_model(
      {{2}, {{"batch_norm", "", {}}, {"linear", "", {{"out_features", std::int64_t{1}}}}}});
  auto model = *Model::build(std::move(resolved), torch::kCPU);
  auto spec = regression();
  spec.local_epochs = 1;
  spec.optimizer.lr = 0.001;
  const auto result = train_locally(model, examples, spec, 1, 7, 0, ignore);
  ASSERT_TRUE(result.has_value()) << result.error().message;
  EXPECT_EQ(result->steps, 1U) << "eight examples, then one";
  EXPECT_TRUE(model.is_finite());
}

// Points on either side of a line, as classes 0 and 1.
Dataset sides() {
  auto data = plane();
  for (const float value : data.values) {
    data.labels.push_back(value > 0 ? 1 : 0);
  }
  data.values.clear();
  data.targets = 0;
  data.classes = 2;
  return data;
}

TEST(LocalTraining, ALinearSvmAndLogisticRegressionTellTwoSidesApart) {
  const Examples examples(sides(), torch::kCPU);
  for (const auto loss : {Loss::hinge, Loss::bce}) {
    auto spec = regression();
    spec.loss = loss;
    spec.optimizer.lr = 0.5;
    auto model = linear_model();
    ASSERT_TRUE(train_locally(model, examples, spec, 1, 7, 0, ignore).has_value());
    const auto measured = evaluate_model(model, examples, Objective(spec, torch::kCPU), ignore);
    ASSERT_TRUE(measured.has_value());
    EXPECT_THAT(measured->metrics, ElementsAre(Key("accuracy"), Key("auroc"), Key("f1"),
                                               Key("f1_macro"), Key("loss")));
    EXPECT_GT(measured->metrics.at("accuracy"), 0.95) << to_string(loss);
    EXPECT_GT(measured->metrics.at("auroc"), 0.99) << to_string(loss);
  }
}

// What is counted in batches must be what is counted at once; 64 examples are one batch of an
// evaluation, so the sites of this federation have 40 and 24 of them.
TEST(Evaluation, OfTwoSitesAddsUpToThatOfAllExamples) {
  const auto part = [](std::size_t first, std::size_t count) {
    auto data = sides();
    data.features = {data.features.begin() + static_cast<std::ptrdiff_t>(2 * first),
                     data.features.begin() + static_cast<std::ptrdiff_t>(2 * (first + count))};
    data.labels = {data.labels.begin() + static_cast<std::ptrdiff_t>(first),
                   data.labels.begin() + static_cast<std::ptrdiff_t>(first + count)};
    return Examples(std::move(data), torch::kCPU);
  };
  auto model = linear_model();
  {
    torch::NoGradGuard no_grad;
    model.tensors()[0].fill_(0.5);
  }
  const Objective objective(spec_of(Loss::bce), torch::kCPU);
  Sums total;
  ASSERT_TRUE(add(total, evaluate_model(model, part(0, 40), objective, ignore)->sums));
  ASSERT_TRUE(add(total, evaluate_model(model, part(40, 24), objective, ignore)->sums));
  const auto together = evaluate_model(model, part(0, 64), objective, ignore)->metrics;
  const auto added = metrics_from(total);
  for (const auto* exact : {"accuracy", "auroc", "f1", "f1_macro"}) {
    EXPECT_EQ(added.at(exact), together.at(exact)) << exact;
  }
  EXPECT_NEAR(added.at("loss"), together.at("loss"), 1e-7) << "each batch's mean is float32";
}

// 320 equal examples are two batches of an evaluation, the second one smaller and with all of the
// rare class. By hand: log(1 + e^-2) of weight 1 for 300 examples, log(1 + e^2) of weight 9 for 20.
TEST(Evaluation, WeighsClassesOverAllExamplesAndNotByBatch) {
  Dataset data;
  data.shape = {1};
  data.classes = 2;
  data.features.assign(320, 1);
  data.labels.assign(320, 0);
  std::fill(data.labels.end() - 20, data.labels.end(), 1);
  auto resolved =
      *resolve_model({{1}, {{"linear", "output", {{"out_features", std::int64_t{2}}}}}});
  auto model = *Model::build(std::move(resolved), torch::kCPU, {});
  {
    torch::NoGradGuard no_grad;
    model.tensors()[0].copy_(torch::tensor({{2.0F}, {0.0F}}));
    model.tensors()[1].zero_();
  }
  const Objective objective(spec_of(Loss::cross_entropy, {1, 9}), torch::kCPU);
  const auto measured =
      evaluate_model(model, Examples(std::move(data), torch::kCPU), objective, ignore);
  const double often = std::log1p(std::exp(-2.0));
  const double rare = std::log1p(std::exp(2.0));
  EXPECT_NEAR(measured->metrics.at("loss"), (300 * often + 9 * 20 * rare) / (300 + 9 * 20), 1e-6);
}

}  // namespace
}  // namespace entente::agent
