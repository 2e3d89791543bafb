// What the built-in trainer says of inputs that a coordinator brings.
#include <gmock/gmock.h>

#include <cmath>

#include "common/tensors/safetensors.h"
#include "site-agent/training/trainer.h"
#include "tests/unit/training/stripes_fixture.h"

namespace entente::agent {
namespace {

using contract::Initialize;
using contract::Predict;
using testing::HasSubstr;

class Prediction : public StripesFolder {
 protected:
  void prepare(Loss loss = Loss::cross_entropy) {
    auto job = StripesFolder::job();
    job.spec.model.input = {1, kSide, kSide};
    job.spec.model.layers = {{"flatten", "", {}},
                             {"linear", "fc", {{"out_features", std::int64_t{kClasses}}}}};
    job.spec.train.loss = loss;
    job.evaluate_dataset.reset();
    job.spec.evaluate.reset();
    EXPECT_TRUE(trainer_.handle(job));
    EXPECT_TRUE(trainer_.handle(Initialize{3, path("model")}));
  }

  void write(const std::string& file, const TensorLayout& layout,
             const std::vector<float>& values) {
    TensorFileWriter writer(path(file), layout, {});
    writer.append(std::span<const float>(values));
    writer.close();
  }

  // More rows than are computed at once.
  std::vector<float> write_inputs() {
    std::vector<float> inputs(static_cast<std::size_t>(kRows * kSide * kSide));
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      inputs[i] = static_cast<float>(i * 37 % 101) / 101;
    }
    write("inputs", {{TensorInfo{"inputs", {kRows, 1, kSide, kSide}}}}, inputs);
    return inputs;
  }

  std::vector<float> outputs(const std::string& own = {}) {
    const auto said = trainer_.handle(Predict{path("model"), path("inputs"), path("outputs"), own});
    EXPECT_TRUE(said) << said.error().message;
    examples_ = said ? said->examples : 0;
    const auto file = TensorFile::open(path("outputs"));
    const auto values = file->flat({{TensorInfo{"outputs", {kRows, kClasses}}}});
    EXPECT_TRUE(values);
    return {values->begin(), values->end()};
  }

  contract::Error refused(const contract::CommandBody& command) {
    const auto outcome = trainer_.handle(command);
    EXPECT_FALSE(outcome);
    return outcome ? contract::Error{} : outcome.error();
  }

  // The scores of a row by hand: weights of "fc" of the file times the row, plus its bias.
  std::vector<double> scores(const std::vector<float>& inputs, std::size_t row,
                             const std::string& file = "model", const std::string& suffix = {}) {
    const auto tensors = TensorFile::open(path(file)).value();
    std::vector<float> weights(kClasses * kSide * kSide);
    std::vector<float> bias(kClasses);
    for (std::size_t i = 0; i < tensors.layout().tensors.size(); ++i) {
      const auto& name = tensors.layout().tensors[i].name;
      auto& into = name == "fc.weight" + suffix ? weights : bias;
      if (name == "fc.weight" + suffix || name == "fc.bias" + suffix) {
        std::memcpy(into.data(), tensors.data(i).data(), tensors.data(i).size());
      }
    }
    std::vector<double> sums(bias.begin(), bias.end());
    constexpr std::size_t kPixels = kSide * kSide;
    for (std::size_t out = 0; out < sums.size(); ++out) {
      for (std::size_t pixel = 0; pixel < kPixels; ++pixel) {
        sums[out] += double{weights[out * kPixels + pixel]} * inputs[row * kPixels + pixel];
      }
    }
    return sums;
  }

  static std::vector<double> softmax(std::vector<double> scores) {
    double total = 0;
    for (auto& score : scores) {
      total += score = std::exp(score);
    }
    for (auto& score : scores) {
      score /= total;
    }
    return scores;
  }

  static void expect_row(const std::vector<float>& outputs, std::size_t row,
                         const std::vector<double>& expected) {
    for (std::size_t i = 0; i < expected.size(); ++i) {
      EXPECT_NEAR(outputs[row * expected.size() + i], expected[i], 1e-5) << row;
    }
  }

  static constexpr std::int64_t kRows = 300;
  Trainer trainer_{[](const contract::Progress&) {}};
  std::uint64_t examples_ = 0;
};

TEST_F(Prediction, OfClassesIsTheirProbabilities) {
  prepare();
  const auto inputs = write_inputs();
  const auto said = outputs();
  for (const std::size_t row : {0, 255, 256, 299}) {
    expect_row(said, row, softmax(scores(inputs, row)));
  }
  EXPECT_EQ(examples_, 200U) << "of the training dataset: they weigh the outputs";
}

TEST_F(Prediction, LaysOverWhatAJobHasLeftHere) {
  prepare();
  const auto inputs = write_inputs();
  constexpr std::int64_t kPixels = std::int64_t{kSide} * kSide;
  // A head's bias of the site's own, as of train.private.
  write("own", {{TensorInfo{"fc.bias", {kClasses}}}}, std::vector<float>(kClasses, 0.0F));
  auto expected = scores(inputs, 7);
  const auto shared = TensorFile::open(path("model")).value();
  std::vector<float> bias(kClasses);
  std::memcpy(bias.data(), shared.data(1).data(), shared.data(1).size());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    expected[i] -= bias[i];
  }
  expect_row(outputs(path("own")), 7, softmax(expected));
  // A personal model, as of Ditto.
  std::vector<float> personal(static_cast<std::size_t>(kClasses * kPixels + kClasses));
  for (std::size_t i = 0; i < personal.size(); ++i) {
    personal[i] = static_cast<float>(i % 13) / 100;
  }
  write("personal",
        {{TensorInfo{"fc.weight:personal", {kClasses, kPixels}},
          TensorInfo{"fc.bias:personal", {kClasses}}}},
        personal);
  expect_row(outputs(path("personal")), 7, softmax(scores(inputs, 7, "personal", ":personal")));
}

TEST_F(Prediction, OfInputsThatTheModelDoesNotTakeIsRefused) {
  prepare();
  write("inputs", {{TensorInfo{"inputs", {2, 3}}}}, std::vector<float>(6));
  EXPECT_EQ(refused(Predict{path("model"), path("inputs"), path("outputs")}).code,
            "inputs_invalid");
  write("inputs", {{TensorInfo{"x", {2, 1, kSide, kSide}}}}, std::vector<float>(2 * kSide * kSide));
  EXPECT_THAT(refused(Predict{path("model"), path("inputs"), path("outputs")}).message,
              HasSubstr("one tensor \"inputs\""));
  EXPECT_FALSE(std::filesystem::exists(path("outputs")));
}

TEST_F(Prediction, WithWhatIsOfAnotherModelIsRefused) {
  prepare();
  write_inputs();
  write("own", {{TensorInfo{"fc.bias", {kClasses + 1}}}}, std::vector<float>(kClasses + 1));
  EXPECT_EQ(refused(Predict{path("model"), path("inputs"), path("outputs"), path("own")}).code,
            "own_mismatch");
}

TEST_F(Prediction, ThatIsNotFiniteIsRefused) {
  prepare();
  write("inputs", {{TensorInfo{"inputs", {1, 1, kSide, kSide}}}},
        std::vector<float>(kSide * kSide, 3e38F));
  EXPECT_EQ(refused(Predict{path("model"), path("inputs"), path("outputs")}).code,
            "prediction_not_finite");
}

TEST_F(Prediction, BeforeAPrepareIsRefused) {
  EXPECT_EQ(refused(Predict{path("model"), path("inputs"), path("outputs")}).code, "not_prepared");
}

}  // namespace
}  // namespace entente::agent
