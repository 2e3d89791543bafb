// A round of each algorithm at one site: what it starts from, what it sends and what stays. The
// data lies on a line, so that every step can be done by hand.
#include "site-agent/training/round.h"

#include <gmock/gmock.h>

#include <cmath>

#include "common/domain/freezing.h"
#include "common/domain/seeds.h"
#include "common/domain/site_tensors.h"
#include "site-agent/training/tensor_files.h"
#include "tests/unit/training/stripes_fixture.h"

namespace entente::agent {
namespace {

using testing::ElementsAre;
using testing::FloatNear;

void ignore(const contract::Progress&) {}

// One example, x = 1 with the target 6: the loss of w = weight + bias is (w - 6)^2, its gradient
// 2 (w - 6) for each of the two.
Dataset one_example() {
  Dataset data;
  data.shape = {1};
  data.targets = 1;
  data.features = {1};
  data.values = {6};
  return data;
}

TrainSpec training(double lr, std::uint32_t epochs) {
  TrainSpec spec;
  spec.loss = Loss::mse;
  spec.batch_size = 1;
  spec.local_epochs = epochs;
  spec.optimizer = {"sgd", lr};
  return spec;
}

class RoundFiles : public StripesFolder {
 protected:
  static ResolvedModel resolved() {
    return *resolve_model({{1}, {{"linear", "fc", {{"out_features", std::int64_t{1}}}}}});
  }

  void write(const std::string& name, const TensorLayout& layout,
             const std::vector<float>& values) {
    TensorFileWriter writer(path(name), layout, {});
    writer.append(values);
    writer.close();
  }

  std::vector<float> read(const std::string& name, const TensorLayout& layout) {
    const auto file = TensorFile::open(path(name));
    EXPECT_TRUE(file) << file.error().message;
    const auto flat = file->flat(layout);
    EXPECT_TRUE(flat) << flat.error().message;
    return {flat->begin(), flat->end()};
  }

  // From the global model {weight, bias}; with the files "own" and "control" if they are named.
  contract::Result run(const TrainSpec& spec, std::vector<float> global, bool control = false,
                       const std::string& own = {}, const std::string& server = {}) {
    const auto layout = resolved().layout;
    write("global", layout, global);
    auto model = *Model::build(resolved(), torch::kCPU, *frozen_tensors(spec.freeze, resolved()));
    contract::Train command;
    command.round = 1;
    command.seed = 7;
    command.model = path("global");
    command.output = path("update");
    command.own = own.empty() ? own : path(own);
    command.control = server.empty() ? server : path(server);
    if (!site_layout(spec, control, layout).tensors.empty()) {
      command.own_output = path("next");
    }
    const auto result = train_round(model, Examples(one_example(), torch::kCPU),
                                    {spec, false, control}, command, ignore);
    EXPECT_TRUE(result) << result.error().message;
    return result.value_or(contract::Result{});
  }

  std::vector<float> update(const TrainSpec& spec, bool control = false) {
    return read("update", update_layout(spec, control, resolved().layout));
  }
  std::vector<float> next(const TrainSpec& spec, bool control = false) {
    return read("next", site_layout(spec, control, resolved().layout));
  }
};

TEST_F(RoundFiles, AnUpdateIsLocalMinusGlobal) {
  const auto spec = training(0.1, 1);
  EXPECT_EQ(run(spec, {1, 2}).steps, 1U);
  // 2 * (3 - 6) = -6: both go up by 0.6.
  EXPECT_THAT(update(spec), ElementsAre(FloatNear(0.6F, 1e-6), FloatNear(0.6F, 1e-6)));
}

// In the first step w is w_global; in the second the gradient has mu (w - w_global) on top.
TEST_F(RoundFiles, FedProxPullsBackToTheGlobalModel) {
  auto spec = training(0.1, 2);
  spec.prox_mu = 0.5;
  run(spec, {1, 2});
  // After the first step w = 4.2: the gradient is -3.6 + 0.5 * 0.6 = -3.3.
  EXPECT_THAT(update(spec), ElementsAre(FloatNear(0.93F, 1e-5), FloatNear(0.93F, 1e-5)));
}

// c = (1, 2), c_i = (0.5, 4): the first step is 0.1 (6 - c + c_i).
TEST_F(RoundFiles, ScaffoldCorrectsEachStepAndUpdatesItsControl) {
  const auto spec = training(0.1, 2);
  const auto layout = resolved().layout;
  write("c", with_suffix(layout, kControlSuffix), {1, 2});
  write("own", with_suffix(layout, kControlSuffix), {0.5, 4});
  run(spec, {1, 2}, true, "own", "c");
  // First step: (0.6 - 0.05, 0.6 + 0.2); w = 4.35, the gradient -3.3: (0.33 - 0.05, 0.33 + 0.2).
  const double weight = 0.55 + 0.28;
  const double bias = 0.8 + 0.53;
  // c_i+ - c_i = -c - update / (2 * 0.1).
  EXPECT_THAT(update(spec, true),
              ElementsAre(FloatNear(static_cast<float>(weight), 1e-5),
                          FloatNear(static_cast<float>(bias), 1e-5),
                          FloatNear(static_cast<float>(-1 - weight / 0.2), 1e-4),
                          FloatNear(static_cast<float>(-2 - bias / 0.2), 1e-4)));
  const auto sent = update(spec, true);
  EXPECT_THAT(next(spec, true), ElementsAre(0.5F + sent[2], 4.0F + sent[3]));
}

TEST_F(RoundFiles, ScaffoldBeginsWithControlsOfZero) {
  const auto spec = training(0.1, 1);
  run(spec, {1, 2}, true);
  // The control is the gradient then: -6 of both.
  EXPECT_THAT(next(spec, true), ElementsAre(FloatNear(-6, 1e-4), FloatNear(-6, 1e-4)));
}

TEST_F(RoundFiles, WhatIsExcludedIsTrainedWithTheOthersAndStays) {
  auto spec = training(0.1, 1);
  spec.exclude = {"*.bias"};
  run(spec, {1, 2});
  EXPECT_THAT(update(spec), ElementsAre(FloatNear(0.6F, 1e-6)));
  EXPECT_THAT(next(spec), ElementsAre(FloatNear(2.6F, 1e-6)));
}

TEST_F(RoundFiles, TheNextRoundGoesOnFromWhatHasStayed) {
  auto spec = training(0.1, 1);
  spec.exclude = {"*.bias"};
  write("own", site_layout(spec, false, resolved().layout), {4});
  run(spec, {1, 2}, false, "own");
  // w = 5: the gradient is -2.
  EXPECT_THAT(update(spec), ElementsAre(FloatNear(0.2F, 1e-6)));
  EXPECT_THAT(next(spec), ElementsAre(FloatNear(4.2F, 1e-6)));
}

TEST_F(RoundFiles, FedRepTrainsTheHeadAloneAndThenTheBodyAlone) {
  auto spec = training(0.1, 1);
  spec.private_tensors = {"*.bias"};
  spec.private_epochs = 2;
  const auto result = run(spec, {1, 2});
  EXPECT_EQ(result.steps, 1U) << "those of the body";
  // The head: 0.6, then w = 3.6: 0.48. The body: w = 4.08: 0.384.
  EXPECT_THAT(next(spec), ElementsAre(FloatNear(3.08F, 1e-5)));
  EXPECT_THAT(update(spec), ElementsAre(FloatNear(0.384F, 1e-5)));
}

TEST_F(RoundFiles, FedProxDoesNotPullWhatStays) {
  auto spec = training(0.1, 2);
  spec.prox_mu = 0.5;
  spec.exclude = {"*.bias"};
  run(spec, {1, 2});
  // The second step of the weight is 0.36 - 0.03, that of the bias 0.36.
  EXPECT_THAT(update(spec), ElementsAre(FloatNear(0.93F, 1e-5)));
  EXPECT_THAT(next(spec), ElementsAre(FloatNear(2.96F, 1e-5)));
}

// v starts from (3, 3): w = 6 there, so that nothing but the pull to (1, 2) moves it.
TEST_F(RoundFiles, DittoTrainsAModelOfTheSitesOwnBesideTheSharedOne) {
  auto spec = training(0.1, 1);
  run(spec, {1, 2});
  const auto without = update(spec);
  spec.personal = PersonalSpec{0.5, 1};
  write("own", site_layout(spec, false, resolved().layout), {3, 3});
  const auto result = run(spec, {1, 2}, false, "own");
  EXPECT_EQ(update(spec), without);
  EXPECT_THAT(next(spec), ElementsAre(FloatNear(3 - 0.05F * 2, 1e-5), FloatNear(3 - 0.05F, 1e-5)));
  EXPECT_NEAR(result.metrics.at("personal_loss"), 0, 1e-6);
  EXPECT_NEAR(result.metrics.at("loss"), 9, 1e-5);
}

TEST_F(RoundFiles, DittosModelStartsFromTheGlobalOne) {
  auto spec = training(0.1, 1);
  spec.personal = PersonalSpec{0.5, 2};
  run(spec, {1, 2});
  // As FedProx with the same pull: see there.
  EXPECT_THAT(next(spec), ElementsAre(FloatNear(1.93F, 1e-5), FloatNear(2.93F, 1e-5)));
}

TEST_F(RoundFiles, WhatIsFrozenIsZeroInUpdateAndControl) {
  auto spec = training(0.1, 1);
  spec.freeze = {"*.bias"};
  run(spec, {1, 2}, true);
  const auto sent = update(spec, true);
  EXPECT_EQ(sent[1], 0);
  EXPECT_EQ(sent[3], 0);
  EXPECT_NE(sent[2], 0);
}

TEST_F(RoundFiles, AnEvaluationUsesWhatIsTheSites) {
  auto spec = training(0.1, 1);
  auto model = *Model::build(resolved(), torch::kCPU);
  const auto layout = resolved().layout;
  write("global", layout, {1, 2});
  spec.exclude = {"*.bias"};
  write("own", site_layout(spec, false, layout), {4});
  ASSERT_TRUE(load_for_site(model, spec, path("global"), path("own"), false));
  EXPECT_EQ(model.tensors()[0].item<float>(), 1);
  EXPECT_EQ(model.tensors()[1].item<float>(), 4);
  spec = training(0.1, 1);
  spec.personal.emplace();
  write("personal", site_layout(spec, false, layout), {8, 9});
  ASSERT_TRUE(load_for_site(model, spec, path("global"), path("personal"), true));
  EXPECT_EQ(model.tensors()[1].item<float>(), 9);
  ASSERT_TRUE(load_for_site(model, spec, path("global"), {}, true));
  EXPECT_EQ(model.tensors()[1].item<float>(), 2) << "it has none yet";
}

TEST_F(RoundFiles, TheSameRoundGivesTheSameBytes) {
  auto spec = training(0.1, 3);
  spec.private_tensors = {"*.bias"};
  spec.private_epochs = 2;
  run(spec, {1, 2}, true);
  const auto sent = bytes_of(path("update"));
  const auto kept = bytes_of(path("next"));
  run(spec, {1, 2}, true);
  EXPECT_EQ(bytes_of(path("update")), sent);
  EXPECT_EQ(bytes_of(path("next")), kept);
}

}  // namespace
}  // namespace entente::agent
