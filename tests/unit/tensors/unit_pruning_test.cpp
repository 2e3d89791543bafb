#include "common/tensors/unit_pruning.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "common/domain/layers.h"

namespace entente {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

LayerSpec layer(std::string kind, std::map<std::string, Attribute> attributes = {}) {
  return {std::move(kind), "", std::move(attributes)};
}

LayerSpec linear(std::int64_t units) { return layer("linear", {{"out_features", units}}); }

class UnitPruning : public testing::Test {
 protected:
  UnitPruning()
      : folder_(std::filesystem::path(testing::TempDir()) /
                (std::string("units-") +
                 testing::UnitTest::GetInstance()->current_test_info()->name())) {
    std::filesystem::create_directories(folder_);
  }
  ~UnitPruning() override { std::filesystem::remove_all(folder_); }

  Expected<UnitsPruned> prune(const ModelSpec& model, const std::vector<float>& values,
                              double share) {
    TensorFileWriter writer(folder_ / "whole", resolve_model(model)->layout, {{"format", "pt"}});
    writer.append(values);
    writer.close();
    return prune_units(*TensorFile::open(folder_ / "whole"), model, share, folder_ / "small");
  }

  // As many values as the model has, 1, 2, 3, ...
  Expected<UnitsPruned> prune(const ModelSpec& model, double share) {
    std::vector<float> values(resolve_model(model)->layout.elements());
    for (std::size_t i = 0; i < values.size(); ++i) {
      values[i] = static_cast<float>(i + 1);
    }
    return prune(model, values, share);
  }

  [[nodiscard]] std::vector<float> small(const ModelSpec& model) const {
    const auto file = TensorFile::open(folder_ / "small");
    EXPECT_TRUE(file.has_value());
    EXPECT_EQ(file->metadata(), (TensorMetadata{{"format", "pt"}}));
    const auto values = file->flat(resolve_model(model)->layout);
    EXPECT_TRUE(values.has_value());
    return {values->begin(), values->end()};
  }

  std::filesystem::path folder_;
};

TEST_F(UnitPruning, TheWeakestUnitGoesWithItsBiasAndWhatReadsIt) {
  const ModelSpec model{{2}, {linear(3), layer("relu"), linear(2)}};
  const auto pruned = prune(model,
                            {5, -5, 0.5F, -1, 3, 3,                // weights: the second is weakest
                             0.1F, 0.2F, 0.3F,                     // biases
                             10, 20, 30, 40, 50, 60, 0.7F, 0.8F},  // of the two outputs
                            0.34);
  ASSERT_TRUE(pruned) << pruned.error().message;
  EXPECT_EQ(pruned->model.layers[0].attributes.at("out_features"), Attribute(std::int64_t{2}));
  EXPECT_EQ(pruned->model.layers[2], model.layers[2]) << "the outputs stay";
  EXPECT_THAT(small(pruned->model),
              ElementsAre(5, -5, 3, 3, 0.1F, 0.3F, 10, 30, 40, 60, 0.7F, 0.8F));
  ASSERT_EQ(pruned->layers.size(), 1U);
  EXPECT_EQ(pruned->layers[0].name, "linear1");
  EXPECT_EQ(pruned->layers[0].units, 3U);
  EXPECT_EQ(pruned->layers[0].kept, 2U);
  EXPECT_EQ(pruned->values, 17U);
  EXPECT_EQ(pruned->values_kept, 12U);
}

// 1x1 filters on a picture of 1x2: a channel is two values once it is flattened.
TEST_F(UnitPruning, AChannelGoesWithItsStatisticsAndAllOfItsPixels) {
  const ModelSpec model{{1, 1, 2},
                        {layer("conv2d", {{"out_channels", std::int64_t{2}},
                                          {"kernel_size", std::int64_t{1}},
                                          {"in_channels", std::int64_t{1}}}),
                         layer("batch_norm"), layer("flatten"), linear(1)}};
  const auto pruned = prune(model,
                            {0.1F, 2, 3, 4,              // filters, biases
                             5, 6, 7, 8, 9, 10, 11, 12,  // weight, bias, mean, variance
                             21, 22, 23, 24, 25},
                            0.5);
  ASSERT_TRUE(pruned) << pruned.error().message;
  EXPECT_THAT(small(pruned->model), ElementsAre(2, 4, 6, 8, 10, 12, 23, 24, 25));
}

TEST_F(UnitPruning, SizesThatAreGivenAreGivenAnew) {
  auto second = linear(2);
  second.attributes["in_features"] = std::int64_t{4};
  const auto pruned = prune({{2}, {linear(4), layer("tanh"), second}}, 0.5);
  ASSERT_TRUE(pruned) << pruned.error().message;
  EXPECT_EQ(pruned->model.layers[2].attributes.at("in_features"), Attribute(std::int64_t{2}));
}

TEST_F(UnitPruning, OneUnitIsLeftAndNoneMayGo) {
  const ModelSpec model{{2}, {linear(3), linear(2)}};
  EXPECT_EQ(prune(model, 0.999)->layers[0].kept, 1U);
  const auto same = prune(model, 0);
  EXPECT_TRUE(same->layers.empty());
  EXPECT_EQ(same->model, model);
}

TEST_F(UnitPruning, OfEqualUnitsTheFirstGo) {
  const ModelSpec model{{1}, {linear(4), linear(1)}};
  const auto pruned = prune(model, {1, -1, 1, 1, 11, 12, 13, 14, 21, 22, 23, 24, 30}, 0.5);
  EXPECT_THAT(small(pruned->model), ElementsAre(1, 1, 13, 14, 23, 24, 30));
}

TEST_F(UnitPruning, RefusesWhatItCannotDo) {
  const ModelSpec plain{{2}, {linear(3), linear(2)}};
  for (const double share : {-0.1, 1.0, std::numeric_limits<double>::quiet_NaN()}) {
    EXPECT_EQ(prune(plain, share).error().code, "share_invalid");
  }
  const auto normalised = prune({{2}, {linear(3), layer("layer_norm"), linear(2)}}, 0.5);
  EXPECT_EQ(normalised.error().code, "model_unsuitable");
  EXPECT_THAT(normalised.error().message, HasSubstr("layer 2 \"layer_norm\""));
  auto block = layer("residual");
  block.layers = {linear(2)};
  EXPECT_THAT(prune({{2}, {block, linear(2)}}, 0.5).error().message,
              HasSubstr("layer 1 \"residual\""));
  EXPECT_THAT(prune({{2}, {linear(2)}}, 0.5).error().message, HasSubstr("no hidden layer"));
  (void)prune(plain, 0.5);
  const auto other = prune_units(*TensorFile::open(folder_ / "whole"),
                                 {{2}, {linear(4), linear(2)}}, 0.5, folder_ / "small");
  EXPECT_EQ(other.error().code, "layout_mismatch");
}

}  // namespace
}  // namespace entente
