#include "site-agent/training/data_contract.h"

#include <gmock/gmock.h>

namespace entente::agent {
namespace {

ModelSpec classifier(std::int64_t outputs) {
  ModelSpec model;
  model.input = {1, 2, 2};
  model.layers = {{"flatten", "", {}}, {"linear", "", {{"out_features", outputs}}}};
  return model;
}

Dataset dataset(Shape shape, std::vector<std::int64_t> labels) {
  Dataset data;
  data.shape = std::move(shape);
  data.labels = std::move(labels);
  return data;
}

std::string verdict(const Dataset& data, const ModelSpec& model) {
  const auto resolved = resolve_model(model);
  EXPECT_TRUE(resolved.has_value());
  const auto checked = check_data_contract("digits", data, model, *resolved, Loss::cross_entropy);
  EXPECT_EQ(checked ? "data_contract_violated" : checked.error().code, "data_contract_violated");
  return checked ? "fits" : checked.error().message;
}

TEST(DataContract, AcceptsDataThatFits) {
  EXPECT_EQ(verdict(dataset({1, 2, 2}, {0, 2, 1}), classifier(3)), "fits");
}

TEST(DataContract, NeedsAtLeastOneExample) {
  EXPECT_EQ(verdict(dataset({1, 2, 2}, {}), classifier(3)),
            "dataset \"digits\" has no examples at this site");
}

TEST(DataContract, ShapesMustAgree) {
  EXPECT_EQ(verdict(dataset({3, 2, 2}, {0}), classifier(3)),
            "dataset \"digits\" has examples of shape [3, 2, 2], the model takes [1, 2, 2]");
}

TEST(DataContract, LabelsMustBeWithinTheOutputs) {
  EXPECT_EQ(
      verdict(dataset({1, 2, 2}, {0, 3}), classifier(3)),
      "dataset \"digits\" has labels up to 3, the model has 3 outputs for labels from 0 to 2");
}

TEST(DataContract, NumbersToPredictAreNoClasses) {
  auto data = dataset({1, 2, 2}, {});
  data.targets = 1;
  data.values = {0.5F};
  EXPECT_EQ(verdict(data, classifier(3)),
            "dataset \"digits\" has numbers to predict, the loss needs class labels");
}

TEST(DataContract, TokensNeedAModelOfTokens) {
  auto data = dataset({1, 2, 2}, {0});
  data.vocabulary = 5;
  EXPECT_EQ(verdict(data, classifier(3)), "dataset \"digits\" has tokens, the model takes numbers");
}

TEST(DataContract, TheModelMustEndFlat) {
  ModelSpec model;
  model.input = {1, 2, 2};
  model.layers = {
      {"conv2d", "", {{"out_channels", std::int64_t{4}}, {"kernel_size", std::int64_t{1}}}}};
  EXPECT_EQ(verdict(dataset({1, 2, 2}, {0}), model),
            "dataset \"digits\" has one label for each example, the model ends in [4, 2, 2]");
}

}  // namespace
}  // namespace entente::agent
