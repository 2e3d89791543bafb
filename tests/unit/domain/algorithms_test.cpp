// What stays at the sites, what leaves them, and which parts of a job do not go together.
#include "common/domain/algorithms.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "common/domain/site_tensors.h"

namespace entente {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

JobSpec job() {
  JobSpec spec;
  spec.name = "lung";
  spec.rounds = 3;
  spec.deadline = std::chrono::hours{1};
  spec.stall_window = std::chrono::minutes{5};
  spec.model.input = {4};
  spec.model.layers = {{"linear", "body", {{"out_features", std::int64_t{3}}}},
                       {"batch_norm", "norm", {}},
                       {"relu", "", {}},
                       {"linear", "head", {{"out_features", std::int64_t{2}}}}};
  spec.train.dataset = "scans";
  return spec;
}

std::vector<std::string> names(const TensorLayout& layout) {
  std::vector<std::string> names;
  for (const auto& tensor : layout.tensors) {
    names.push_back(tensor.name);
  }
  return names;
}

TensorLayout layout_of(const JobSpec& spec) { return resolve_model(spec.model)->layout; }

TEST(SiteTensors, AreWhatAnUpdateLacks) {
  auto spec = job();
  EXPECT_EQ(update_layout(spec, layout_of(spec)), layout_of(spec));
  EXPECT_THAT(names(site_layout(spec, layout_of(spec))), ElementsAre());
  spec.train.exclude = {"norm.*"};
  spec.train.private_tensors = {"head.*"};
  EXPECT_THAT(names(update_layout(spec, layout_of(spec))), ElementsAre("body.weight", "body.bias"));
  EXPECT_THAT(names(site_layout(spec, layout_of(spec))),
              ElementsAre("norm.weight", "norm.bias", "norm.running_mean", "norm.running_var",
                          "head.weight", "head.bias"));
}

TEST(SiteTensors, OfScaffoldAreExchangedTwice) {
  auto spec = job();
  spec.strategy.kind = "scaffold";
  spec.train.exclude = {"norm.*", "head.*"};
  EXPECT_THAT(names(update_layout(spec, layout_of(spec))),
              ElementsAre("body.weight", "body.bias", "body.weight:control", "body.bias:control"));
  EXPECT_EQ(site_layout(spec, layout_of(spec)).tensors.size(), 6U + 2U);
}

TEST(SiteTensors, OfAPersonalModelAreAllOfTheModel) {
  auto spec = job();
  spec.train.personal.emplace();
  EXPECT_EQ(update_layout(spec, layout_of(spec)), layout_of(spec));
  EXPECT_EQ(site_layout(spec, layout_of(spec)).tensors.size(), layout_of(spec).tensors.size());
  EXPECT_EQ(site_layout(spec, layout_of(spec)).tensors[0].name, "body.weight:personal");
}

struct Case {
  const char* rule;
  std::function<void(JobSpec&)> change;
  const char* words;  // of the refusal; empty: it is legal
};

void PrintTo(const Case& tested, std::ostream* out) { *out << tested.rule; }

class Algorithms : public testing::TestWithParam<Case> {};

TEST_P(Algorithms, GoTogetherOrAreRefusedWithTheReason) {
  auto spec = job();
  GetParam().change(spec);
  const auto model = validate(spec);
  if (*GetParam().words == 0) {
    EXPECT_TRUE(model) << model.error().message;
  } else {
    ASSERT_FALSE(model);
    EXPECT_EQ(model.error().code, "job_invalid");
    EXPECT_THAT(model.error().message, HasSubstr(GetParam().words));
    EXPECT_FALSE(model.error().hint.empty());
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, Algorithms,
    testing::Values(
        Case{"prox", [](JobSpec& s) { s.train.prox_mu = 1; }, ""},
        Case{"prox nan", [](JobSpec& s) { s.train.prox_mu = std::nan(""); },
             "train.prox_mu is nan"},
        Case{"prox below 0", [](JobSpec& s) { s.train.prox_mu = -1; }, "train.prox_mu is -1"},
        Case{"prox too strong", [](JobSpec& s) { s.train.prox_mu = 100; }, "jump over"},
        Case{"fednova and running means", [](JobSpec& s) { s.strategy.kind = "fednova"; },
             "\"norm.running_mean\" is no sum of steps"},
        Case{"fednova without them",
             [](JobSpec& s) {
               s.strategy.kind = "fednova";
               s.train.exclude = {"*.running_*"};
               s.train.optimizer.momentum = 0.9;
             },
             ""},
        Case{"fednova and adam",
             [](JobSpec& s) {
               s.strategy.kind = "fednova";
               s.train.optimizer.kind = "adam";
             },
             "for sgd without nesterov only"},
        Case{"fednova with momentum and prox",
             [](JobSpec& s) {
               s.strategy.kind = "fednova";
               s.train.optimizer.momentum = 0.9;
               s.train.prox_mu = 0.1;
             },
             "none for both at once"},
        Case{"scaffold", [](JobSpec& s) { s.strategy.kind = "scaffold"; }, ""},
        Case{"scaffold and momentum",
             [](JobSpec& s) {
               s.strategy.kind = "scaffold";
               s.train.optimizer.momentum = 0.9;
             },
             "plain sgd"},
        Case{"scaffold and prox",
             [](JobSpec& s) {
               s.strategy.kind = "scaffold";
               s.train.prox_mu = 0.1;
             },
             "corrects the drift that train.prox_mu holds back"},
        Case{"scaffold and an encoding",
             [](JobSpec& s) {
               s.strategy.kind = "scaffold";
               s.update.encoding = "f16";
             },
             "needs update.encoding \"float32\""},
        Case{"scaffold and clipping",
             [](JobSpec& s) {
               s.strategy.kind = "scaffold";
               s.strategy.parameters = {{"clip_norm", 1}};
             },
             "strategy.clip_norm"},
        Case{"a pattern of nothing", [](JobSpec& s) { s.train.exclude = {"bn*"}; },
             "train.exclude has \"bn*\", which no tensor of the model matches"},
        Case{"nothing left to exchange",
             [](JobSpec& s) {
               s.train.exclude = {"norm.*", "body.*"};
               s.train.private_tensors = {"head.*"};
             },
             "leave no trained parameter to exchange"},
        Case{"nothing but frozen tensors left to exchange",
             [](JobSpec& s) {
               s.train.freeze = {"body.*", "norm.*"};
               s.train.private_tensors = {"head.*"};
             },
             "leave no trained parameter to exchange"},
        Case{"epochs of no head", [](JobSpec& s) { s.train.private_epochs = 1; },
             "train.private_epochs has no effect"},
        Case{"epochs of running means",
             [](JobSpec& s) {
               s.train.private_tensors = {"norm.running_*"};
               s.train.private_epochs = 1;
             },
             "train.private_epochs has no effect"},
        Case{"a head of its own",
             [](JobSpec& s) {
               s.train.private_tensors = {"head.*"};
               s.train.private_epochs = 2;
             },
             ""},
        Case{"a personal model and private tensors",
             [](JobSpec& s) {
               s.train.private_tensors = {"head.*"};
               s.train.personal.emplace();
             },
             "exclude each other"},
        Case{"a personal model that learns nothing from others",
             [](JobSpec& s) {
               s.train.personal = PersonalSpec{0, 1};
             },
             "would learn nothing from the other sites"},
        Case{"an evaluation of no personal model",
             [](JobSpec& s) {
               s.evaluate = EvaluateSpec{"scans", 1, true};
             },
             "the job has no personal models"},
        Case{"an evaluation of one",
             [](JobSpec& s) {
               s.evaluate = EvaluateSpec{"scans", 1, true};
               s.train.personal.emplace();
             },
             ""}));

}  // namespace
}  // namespace entente
