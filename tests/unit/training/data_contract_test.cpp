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

std::string verdict(const Dataset& data, const ModelSpec& model, Loss loss = Loss::cross_entropy,
                    Use use = Use::training) {
  const auto resolved = resolve_model(model);
  EXPECT_TRUE(resolved.has_value());
  const auto checked = check_data_contract("digits", data, model, *resolved, loss, use);
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

TEST(DataContract, ClassesAreNoNumbersToPredict) {
  EXPECT_EQ(verdict(dataset({1, 2, 2}, {0}), classifier(1), Loss::mse),
            "dataset \"digits\" has class labels, the loss needs numbers to predict");
}

TEST(DataContract, ASingleScoreIsForTwoClasses) {
  EXPECT_EQ(verdict(dataset({1, 2, 2}, {0, 1}), classifier(1), Loss::bce), "fits");
  EXPECT_EQ(verdict(dataset({1, 2, 2}, {0, 1}), classifier(1), Loss::hinge), "fits");
  EXPECT_EQ(
      verdict(dataset({1, 2, 2}, {0, 2}), classifier(1), Loss::bce),
      "dataset \"digits\" has labels up to 2, the model has 1 outputs for labels from 0 to 1");
  EXPECT_EQ(verdict(dataset({1, 2, 2}, {0, 1}), classifier(2), Loss::bce),
            "dataset \"digits\" has one label for each example, the model answers 2 questions");
}

TEST(DataContract, AnswersToQuestionsAreShares) {
  auto data = dataset({1, 2, 2}, {});
  data.targets = 2;
  data.values = {0, 1, 0.5F, 1};
  EXPECT_EQ(verdict(data, classifier(2), Loss::bce), "fits");
  data.values[2] = 1.5F;
  EXPECT_EQ(verdict(data, classifier(2), Loss::bce),
            "dataset \"digits\" has numbers to predict that are not from 0 to 1, which the loss "
            "needs");
}

TEST(DataContract, TokensAreWithinTheVocabulary) {
  ModelSpec model;
  model.input = {2};
  model.layers = {
      {"embedding", "", {{"num_embeddings", std::int64_t{4}}, {"embedding_dim", std::int64_t{2}}}},
      {"mean_pool", "", {}}};
  auto data = dataset({2}, {0});
  data.vocabulary = 9;
  data.tokens = {3, 0};
  EXPECT_EQ(verdict(data, model), "fits");
  data.tokens = {3, 4};
  EXPECT_EQ(verdict(data, model),
            "dataset \"digits\" has tokens up to 4, the model knows those from 0 to 3");
}

TEST(DataContract, BatchNormNeedsTwoExamples) {
  auto model = classifier(3);
  model.layers.push_back({"batch_norm", "", {}});
  EXPECT_EQ(verdict(dataset({1, 2, 2}, {0, 1}), model), "fits");
  EXPECT_EQ(verdict(dataset({1, 2, 2}, {0}), model),
            "dataset \"digits\" has one example at this site, and batch_norm compares examples");
  EXPECT_EQ(verdict(dataset({1, 2, 2}, {0}), model, Loss::cross_entropy, Use::evaluation), "fits");
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
