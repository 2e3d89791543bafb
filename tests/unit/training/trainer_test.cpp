#include "site-agent/training/trainer.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "common/tensors/safetensors.h"
#include "tests/unit/training/stripes_fixture.h"

namespace entente::agent {
namespace {

using contract::Evaluate;
using contract::Initialize;
using contract::Train;
using testing::HasSubstr;

class BuiltInTrainer : public StripesFolder {
 protected:
  contract::Result done(const contract::CommandBody& command) {
    const auto outcome = trainer_.handle(command);
    EXPECT_TRUE(outcome.has_value()) << outcome.error().code << ": " << outcome.error().message;
    return outcome.value_or(contract::Result{});
  }

  contract::Error refused(const contract::CommandBody& command, const std::string& code) {
    const auto outcome = trainer_.handle(command);
    EXPECT_FALSE(outcome.has_value());
    const auto error = outcome ? contract::Error{} : outcome.error();
    EXPECT_EQ(error.code, code) << error.message;
    return error;
  }

  static TensorLayout layout_of(const contract::Prepare& prepare) {
    return resolve_model(prepare.spec.model)->layout;
  }

  std::vector<float> values(const std::string& file, const TensorLayout& layout) {
    const auto tensors = TensorFile::open(path(file));
    EXPECT_TRUE(tensors.has_value());
    const auto flat = tensors->flat(layout);
    EXPECT_TRUE(flat.has_value());
    return {flat->begin(), flat->end()};
  }

  void write(const std::string& file, const TensorLayout& layout,
             const std::vector<float>& values) {
    TensorFileWriter writer(path(file), layout, {});
    writer.append(values);
    writer.close();
  }

  // What a broker does with the update of a single site.
  void add_update(const std::string& model, const std::string& update, const TensorLayout& layout) {
    auto sum = values(model, layout);
    const auto difference = values(update, layout);
    for (std::size_t i = 0; i < sum.size(); ++i) {
      sum[i] += difference[i];
    }
    write(model, layout, sum);
  }

  std::vector<contract::Progress> reports_;
  Trainer trainer_{[this](const contract::Progress& progress) { reports_.push_back(progress); }};
};

TEST_F(BuiltInTrainer, LearnsASmallProblemInAFewRounds) {
  const auto prepare = job();
  EXPECT_EQ(done(prepare).examples, 200U);
  done(Initialize{1, path("model")});
  const auto before = done(Evaluate{path("model")});
  contract::Result trained;
  for (Round round = 1; round <= 3; ++round) {
    trained = done(Train{round, 10 + round, path("model"), path("update")});
    add_update("model", "update", layout_of(prepare));
  }
  const auto after = done(Evaluate{path("model")});
  EXPECT_EQ(trained.examples, 200U);
  EXPECT_EQ(trained.steps, 2U * 13U) << "two epochs of 12 whole batches and a smaller one";
  EXPECT_EQ(after.examples, 300U);
  EXPECT_LT(after.metrics.at("loss"), 0.3 * before.metrics.at("loss"));
  EXPECT_GT(after.metrics.at("accuracy"), 0.95);
  EXPECT_GT(trained.metrics.at("accuracy"), 0.9);
}

TEST_F(BuiltInTrainer, TheSameSeedGivesTheSameBits) {
  done(job());
  done(Initialize{1, path("model")});
  const auto first = done(Train{1, 7, path("model"), path("first")});
  const auto again = done(Train{1, 7, path("model"), path("again")});
  done(Train{1, 8, path("model"), path("other")});
  EXPECT_EQ(bytes_of(path("first")), bytes_of(path("again")));
  EXPECT_EQ(first.metrics, again.metrics);
  EXPECT_NE(bytes_of(path("first")), bytes_of(path("other")));
}

TEST_F(BuiltInTrainer, AnotherTrainerGivesTheSameBitsForTheSameSeed) {
  done(job());
  done(Initialize{1, path("model")});
  done(Train{1, 7, path("model"), path("update")});
  Trainer another([](const contract::Progress&) {});
  ASSERT_TRUE(another.handle(job()).has_value());
  ASSERT_TRUE(another.handle(Initialize{1, path("model2")}).has_value());
  ASSERT_TRUE(another.handle(Train{1, 7, path("model2"), path("update2")}).has_value());
  EXPECT_EQ(bytes_of(path("model")), bytes_of(path("model2")));
  EXPECT_EQ(bytes_of(path("update")), bytes_of(path("update2")));
}

TEST_F(BuiltInTrainer, TheInitialModelFollowsTheSeedAlone) {
  done(job());
  done(Initialize{1, path("first")});
  done(Initialize{2, path("other")});
  done(Initialize{1, path("again")});
  EXPECT_EQ(bytes_of(path("first")), bytes_of(path("again")));
  EXPECT_NE(bytes_of(path("first")), bytes_of(path("other")));
}

TEST_F(BuiltInTrainer, VariesPicturesByTheSeedAndInTrainingAlone) {
  auto prepare = job();
  done(prepare);
  done(Initialize{1, path("model")});
  done(Train{1, 7, path("model"), path("plain")});
  const auto evaluated = done(Evaluate{path("model")});
  prepare.spec.train.augment = {true, false, 0.7, 1};
  done(prepare);
  done(Train{1, 7, path("model"), path("varied")});
  done(Train{1, 7, path("model"), path("again")});
  EXPECT_NE(bytes_of(path("varied")), bytes_of(path("plain")));
  EXPECT_EQ(bytes_of(path("varied")), bytes_of(path("again")));
  EXPECT_EQ(done(Evaluate{path("model")}).metrics, evaluated.metrics);
  prepare.spec.train.augment.shift = kSide;
  refused(prepare, "job_invalid");
}

TEST_F(BuiltInTrainer, EvaluationLeavesDropoutOut) {
  done(job());
  done(Initialize{1, path("model")});
  done(Train{1, 7, path("model"), path("update")});
  const auto once = done(Evaluate{path("model")});
  EXPECT_EQ(once.metrics, done(Evaluate{path("model")}).metrics);
}

TEST_F(BuiltInTrainer, SaysTheLossBeforeTrainingWhenAskedAndTrainsTheSame) {
  done(job());
  done(Initialize{1, path("model")});
  const auto silent = done(Train{1, 7, path("model"), path("silent")});
  EXPECT_FALSE(silent.metrics.contains("loss_before"));
  auto asked = job();
  asked.loss_before = true;
  asked.evaluate_dataset = asked.train_dataset;  // what it says can then be measured another way
  done(asked);
  const auto expected = done(Evaluate{path("model")}).metrics.at("loss");
  const auto told = done(Train{1, 7, path("model"), path("told")});
  EXPECT_EQ(told.metrics.at("loss_before"), expected);
  EXPECT_EQ(told.metrics.at("loss"), silent.metrics.at("loss"));
  EXPECT_EQ(bytes_of(path("told")), bytes_of(path("silent")));
}

// At weights of zero the gradient of softmax regression is mean((1/C - onehot(label)) x), so one
// step over the whole data can be computed by hand.
TEST_F(BuiltInTrainer, OneStepOfSoftmaxRegressionIsTheTextbooksStep) {
  auto prepare = job();
  prepare.spec.model.layers = {{"flatten", "", {}},
                               {"linear", "", {{"out_features", std::int64_t{kClasses}}}}};
  prepare.spec.train.local_epochs = 1;
  prepare.spec.train.batch_size = 1000;
  prepare.spec.train.optimizer = {"sgd", 0.5, 0.0, 0.0};
  const auto layout = layout_of(prepare);
  constexpr std::size_t kPixels = kSide * kSide;
  const std::size_t elements = layout.elements();
  ASSERT_EQ(elements, kClasses * kPixels + kClasses);
  done(prepare);
  write("zeros", layout, std::vector<float>(elements));

  const auto result = done(Train{1, 1, path("zeros"), path("update")});

  EXPECT_EQ(result.steps, 1U);
  EXPECT_NEAR(result.metrics.at("loss"), std::log(3.0), 1e-6);
  const auto data = load_dataset(prepare.train_dataset);
  ASSERT_TRUE(data.has_value());
  std::vector<double> expected(elements);
  for (std::size_t i = 0; i < data->size(); ++i) {
    for (std::size_t c = 0; c < kClasses; ++c) {
      const double error = 1.0 / kClasses - (data->labels[i] == static_cast<std::int64_t>(c));
      const double step = -0.5 * error / static_cast<double>(data->size());
      for (std::size_t pixel = 0; pixel < kPixels; ++pixel) {
        expected[c * kPixels + pixel] += step * data->features[i * kPixels + pixel];
      }
      expected[kClasses * kPixels + c] += step;
    }
  }
  const auto update = values("update", layout);
  for (std::size_t i = 0; i < elements; ++i) {
    EXPECT_NEAR(update[i], expected[i], 1e-6) << i;
  }
}

TEST_F(BuiltInTrainer, TakesAsManyStepsAsItIsAskedForAndCountsTheExamplesItUsed) {
  done(job());
  done(Initialize{1, path("model")});
  const auto some = done(Train{1, 7, path("model"), path("some"), 3});
  EXPECT_EQ(some.steps, 3U);
  EXPECT_EQ(some.examples, 48U) << "three batches of 16";
  const auto more = done(Train{1, 7, path("model"), path("more"), 14});
  EXPECT_EQ(more.steps, 14U);
  EXPECT_EQ(more.examples, 200U) << "all of them, one batch twice";
}

TEST_F(BuiltInTrainer, TheStepsOfItsEpochsAreItsEpochs) {
  done(job());
  done(Initialize{1, path("model")});
  const auto epochs = done(Train{1, 7, path("model"), path("epochs")});
  const auto steps = done(Train{1, 7, path("model"), path("steps"), epochs.steps});
  EXPECT_EQ(epochs.steps, 26U) << "two epochs of 13 batches";
  EXPECT_EQ(steps.metrics, epochs.metrics);
  EXPECT_EQ(bytes_of(path("steps")), bytes_of(path("epochs")));
}

TEST_F(BuiltInTrainer, ReportsProgressFromTheStart) {
  done(job());
  done(Initialize{1, path("model")});
  reports_.clear();
  done(Train{1, 7, path("model"), path("update")});
  ASSERT_FALSE(reports_.empty());
  EXPECT_EQ(reports_.front().done, 0U);
  for (const auto& report : reports_) {
    EXPECT_EQ(report.total, 400U) << "200 examples in each of two epochs";
    EXPECT_EQ(report.unit, "examples");
    EXPECT_LE(report.done, report.total);
  }
}

TEST_F(BuiltInTrainer, AnAbandonedCommandIsNotAnError) {
  Trainer deserted([](const contract::Progress&) { throw CommandAbandoned("nobody listens"); });
  ASSERT_TRUE(deserted.handle(job()).has_value());
  ASSERT_TRUE(deserted.handle(Initialize{1, path("model")}).has_value());
  EXPECT_THROW((void)deserted.handle(Evaluate{path("model")}), CommandAbandoned);
}

TEST_F(BuiltInTrainer, DivergedTrainingIsAnErrorAndTheTrainerGoesOn) {
  auto prepare = job();
  prepare.spec.train.optimizer.lr = 1e30;
  done(prepare);
  done(Initialize{1, path("model")});
  const auto error = refused(Train{1, 7, path("model"), path("update")}, "training_diverged");
  EXPECT_THAT(error.message, HasSubstr("lower train.optimizer.lr"));
  EXPECT_FALSE(error.transient);
  EXPECT_FALSE(std::filesystem::exists(path("update")));
  done(Evaluate{path("model")});
}

TEST_F(BuiltInTrainer, AModelWithoutFiniteLossIsNotEvaluated) {
  const auto prepare = job();
  const auto layout = layout_of(prepare);
  done(prepare);
  write("nan", layout, std::vector<float>(layout.elements(), std::nanf("")));
  refused(Evaluate{path("nan")}, "evaluation_not_finite");
}

TEST_F(BuiltInTrainer, CommandsNeedASuccessfulPrepare) {
  refused(Initialize{1, path("model")}, "not_prepared");
  refused(Train{1, 7, path("model"), path("update")}, "not_prepared");
  refused(Evaluate{path("model")}, "not_prepared");
  done(job());
  auto wrong = job();
  wrong.spec.model.input = {1, 28, 28};
  refused(wrong, "data_contract_violated");
  refused(Initialize{1, path("model")}, "not_prepared");
}

TEST_F(BuiltInTrainer, PrepareRefusesWhatCannotWorkHere) {
  auto prepare = job();
  std::get<IdxFiles>(prepare.evaluate_dataset->source).images = path("absent");
  EXPECT_THAT(refused(prepare, "dataset_missing").message, HasSubstr("absent"));
  prepare = job();
  auto& files = std::get<IdxFiles>(prepare.train_dataset.source);
  files.labels = files.images;
  refused(prepare, "dataset_invalid");
  prepare = job();
  prepare.spec.model.layers.pop_back();
  prepare.spec.model.layers.push_back({"linear", "", {{"out_features", std::int64_t{2}}}});
  EXPECT_THAT(refused(prepare, "data_contract_violated").message, HasSubstr("\"train\""));
  prepare = job();
  prepare.spec.model.layers.push_back({"transformer", "", {}});
  refused(prepare, "model_invalid");
  prepare = job();
  prepare.spec.train.optimizer.kind = "lbfgs";
  refused(prepare, "optimizer_unknown");
  for (const char* device : {"tpu", "cuda:", "cuda:4096", "cuda:-1", "cuda:0x"}) {
    prepare = job();
    prepare.device = device;
    refused(prepare, "device_unavailable");
  }
}

TEST_F(BuiltInTrainer, EvaluationNeedsItsDataset) {
  auto prepare = job();
  prepare.evaluate_dataset.reset();
  done(prepare);
  done(Initialize{1, path("model")});
  refused(Evaluate{path("model")}, "evaluation_dataset_missing");
}

TEST_F(BuiltInTrainer, AModelOfAnotherJobIsRefused) {
  const auto prepare = job();
  done(prepare);
  const TensorLayout other{{{"linear1.weight", {2, 2}}}};
  write("other", other, std::vector<float>(4));
  refused(Evaluate{path("other")}, "layout_mismatch");
  auto transposed = layout_of(prepare);
  std::swap(transposed.tensors[0].shape[0], transposed.tensors[0].shape[1]);
  write("transposed", transposed, std::vector<float>(transposed.elements()));
  EXPECT_THAT(refused(Evaluate{path("transposed")}, "layout_mismatch").message,
              HasSubstr("linear1.weight"));
  std::ofstream(path("garbage")) << "not tensors";
  refused(Evaluate{path("garbage")}, "tensors_invalid");
  refused(Evaluate{path("absent")}, "tensors_invalid");
}

// The Python library orders tensors its own way, and such a model is as good as ours.
TEST_F(BuiltInTrainer, AModelMayHaveItsTensorsInAnyOrder) {
  const auto prepare = job();
  done(prepare);
  done(Initialize{1, path("model")});
  const auto ours = TensorFile::open(path("model"));
  ASSERT_TRUE(ours.has_value());
  auto reversed = ours->layout();
  std::reverse(reversed.tensors.begin(), reversed.tensors.end());
  std::vector<float> flat;
  for (std::size_t i = reversed.tensors.size(); i-- > 0;) {
    const auto bytes = ours->data(i);
    std::vector<float> tensor(bytes.size() / sizeof(float));
    std::memcpy(tensor.data(), bytes.data(), bytes.size());
    flat.insert(flat.end(), tensor.begin(), tensor.end());
  }
  write("reversed", reversed, flat);
  EXPECT_EQ(done(Evaluate{path("model")}).metrics, done(Evaluate{path("reversed")}).metrics);
  done(Train{1, 7, path("model"), path("first")});
  done(Train{1, 7, path("reversed"), path("second")});
  EXPECT_EQ(bytes_of(path("first")), bytes_of(path("second")));
}

TEST_F(BuiltInTrainer, AFolderThatCannotBeWrittenIsATransientFault) {
  done(job());
  EXPECT_TRUE(refused(Initialize{1, path("absent/model")}, "work_folder_failed").transient);
}

}  // namespace
}  // namespace entente::agent
