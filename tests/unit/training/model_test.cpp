#include "site-agent/training/model.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "common/domain/architectures.h"
#include "common/domain/freezing.h"
#include "tests/unit/training/stripes_fixture.h"

namespace entente::agent {
namespace {

LayerSpec layer(std::string kind, std::map<std::string, Attribute> attributes = {}) {
  return {std::move(kind), "", std::move(attributes)};
}

LayerSpec sized(std::string kind, const char* attribute, std::int64_t size) {
  return layer(std::move(kind), {{attribute, size}});
}

LayerSpec conv(std::int64_t channels, std::int64_t kernel, std::int64_t stride, bool bias) {
  return layer("conv2d", {{"out_channels", channels},
                          {"kernel_size", kernel},
                          {"stride", stride},
                          {"padding", kernel / 2},
                          {"bias", bias}});
}

LayerSpec pool(std::string kind) {
  return layer(std::move(kind), {{"kernel_size", std::int64_t{3}},
                                 {"stride", std::int64_t{2}},
                                 {"padding", std::int64_t{1}}});
}

LayerSpec residual(std::vector<LayerSpec> layers, std::vector<LayerSpec> shortcut = {}) {
  auto block = layer("residual");
  block.layers = std::move(layers);
  block.shortcut = std::move(shortcut);
  return block;
}

// Together every kind of layer.
ModelSpec images() {
  return {{2, 17, 17},
          {conv(4, 3, 2, false), layer("batch_norm"), layer("relu"), pool("max_pool2d"),
           sized("group_norm", "num_groups", 2), layer("leaky_relu"),
           residual({conv(6, 3, 1, true), layer("batch_norm")}, {conv(6, 1, 1, false)}),
           pool("avg_pool2d"), layer("flatten"), layer("dropout"),
           sized("linear", "out_features", 5), layer("elu"), layer("layer_norm")}};
}

ModelSpec texts() {
  return {
      {7},
      {layer("embedding",
             {{"num_embeddings", std::int64_t{9}}, {"embedding_dim", std::int64_t{4}}}),
       layer("positional_encoding"), residual({sized("self_attention", "num_heads", 2)}),
       layer("lstm", {{"hidden_size", std::int64_t{3}},
                      {"num_layers", std::int64_t{2}},
                      {"bidirectional", true},
                      {"return_sequences", true}}),
       layer("gelu"), sized("linear", "out_features", 4),
       layer("gru", {{"hidden_size", std::int64_t{3}}, {"bidirectional", true}}), layer("silu")}};
}

ModelSpec pooled(std::string global_pool) {
  return {{2, 9, 9}, {conv(4, 3, 1, true), layer("tanh"), layer(std::move(global_pool))}};
}

ModelSpec averaged() {
  return {{7, 4}, {sized("linear", "out_features", 3), layer("sigmoid"), layer("mean_pool")}};
}

ModelSpec all_kinds() { return images(); }

torch::Tensor inputs_of(const ModelSpec& spec) {
  auto shape = spec.input;
  shape.insert(shape.begin(), 3);
  return spec.layers.front().kind == "embedding" ? torch::randint(9, shape) : torch::rand(shape);
}

Model built(const ModelSpec& spec) {
  auto resolved = resolve_model(spec);
  EXPECT_TRUE(resolved.has_value());
  auto model = Model::build(std::move(*resolved), torch::kCPU);
  EXPECT_TRUE(model.has_value());
  return std::move(*model);
}

TEST(TrainableModel, EveryKindOfLayerIsBuiltAndGivesTheInferredShape) {
  std::set<std::string> built_kinds;
  for (const auto& spec :
       {images(), texts(), pooled("global_avg_pool"), pooled("global_max_pool"), averaged()}) {
    for (const auto& kind : layer_kinds_of(spec)) {
      built_kinds.insert(kind);
    }
    // Layer by layer: what LibTorch computes must have the shape that the domain inferred.
    for (std::size_t count = 1; count <= spec.layers.size(); ++count) {
      auto first = spec;
      first.layers.resize(count);
      if (!resolve_model(first)) {
        continue;  // nothing to train yet
      }
      Model model = built(first);
      const auto output = model.forward(inputs_of(spec));
      auto expected = model.spec().output;
      expected.insert(expected.begin(), 3);
      EXPECT_EQ(output.sizes(), at::IntArrayRef(expected)) << first.layers.back().kind;
    }
  }
  const auto known = layer_kinds();
  EXPECT_EQ(built_kinds, std::set<std::string>(known.begin(), known.end()))
      << "a new kind belongs into this test and into site-agent/training/layers.cpp";
}

TEST(TrainableModel, EveryArchitectureIsBuilt) {
  for (const auto& name : architecture_names()) {
    ArchitectureSpec architecture{name, {{"outputs", std::int64_t{3}}}, {}};
    const auto attributes = architecture_attributes(name);
    const bool takes_tokens =
        std::find(attributes.begin(), attributes.end(), "vocabulary") != attributes.end();
    if (takes_tokens) {
      architecture.attributes["vocabulary"] = std::int64_t{9};
    }
    if (name == "mlp") {
      architecture.hidden = {5};
    }
    ModelSpec spec{takes_tokens ? Shape{7} : Shape{1, 16, 16}, {}};
    spec.layers = *expand_architecture(architecture, spec.input);
    EXPECT_EQ(built(spec).forward(inputs_of(spec)).sizes(), (at::IntArrayRef{3, 3})) << name;
  }
}

TEST(TrainableModel, ABlockAddsWhatItsLayersMakeOfItsInput) {
  Model model = built({{4}, {residual({sized("linear", "out_features", 4)})}});
  const auto inputs = torch::rand({3, 4});
  const auto alone = torch::linear(inputs, model.tensors()[0], model.tensors()[1]);
  EXPECT_TRUE(torch::equal(model.forward(inputs), alone + inputs));
}

// The last state forwards is at the last position, backwards at the first.
TEST(TrainableModel, TheLastStateIsWhereADirectionHasReadEverything) {
  for (const auto* kind : {"lstm", "gru"}) {
    std::map<std::string, Attribute> attributes{
        {"hidden_size", std::int64_t{3}}, {"bidirectional", true}, {"return_sequences", true}};
    Model every = built({{7, 4}, {layer(kind, attributes)}});
    attributes["return_sequences"] = false;
    Model last = built({{7, 4}, {layer(kind, attributes)}});
    torch::NoGradGuard no_grad;
    for (std::size_t i = 0; i < last.tensors().size(); ++i) {
      last.tensors()[i].copy_(every.tensors()[i]);
    }
    const auto inputs = torch::rand({2, 7, 4});
    const auto states = every.forward(inputs);
    const auto expected =
        torch::cat({states.select(1, 6).narrow(1, 0, 3), states.select(1, 0).narrow(1, 3, 3)}, 1);
    EXPECT_TRUE(torch::allclose(last.forward(inputs), expected)) << kind;
  }
}

// sin and cos of 3 / 10000^(2/4).
TEST(TrainableModel, PositionsAreSinesAndCosines) {
  Model model = built({{5, 4}, {layer("positional_encoding"), sized("linear", "out_features", 4)}});
  torch::NoGradGuard no_grad;
  model.tensors()[0].copy_(torch::eye(4));
  model.tensors()[1].zero_();
  const auto encoded = model.forward(torch::zeros({1, 5, 4}))[0][3];
  EXPECT_NEAR(encoded[0].item<double>(), std::sin(3.0), 1e-6);
  EXPECT_NEAR(encoded[2].item<double>(), std::sin(0.03), 1e-6);
  EXPECT_NEAR(encoded[3].item<double>(), std::cos(0.03), 1e-6);
}

TEST(TrainableModel, TrainsItsParametersAndNotItsStatistics) {
  Model model = built({{4}, {layer("batch_norm"), sized("linear", "out_features", 2)}});
  EXPECT_EQ(model.tensors().size(), 6U);
  EXPECT_EQ(model.trained().size(), 4U);
}

TEST(TrainableModel, AFrozenBatchNormComputesAsInEvaluation) {
  const ModelSpec spec{{4}, {layer("batch_norm"), sized("linear", "out_features", 2)}};
  auto resolved = *resolve_model(spec);
  auto frozen = *frozen_tensors({"batch_norm1.*"}, resolved);
  auto model = *Model::build(std::move(resolved), torch::kCPU, std::move(frozen));
  EXPECT_EQ(model.trained().size(), 2U);
  model.set_training(true);
  const auto inputs = torch::rand({8, 4});
  const auto in_training = model.forward(inputs);
  model.set_training(false);
  EXPECT_TRUE(torch::equal(in_training, model.forward(inputs)));
  EXPECT_TRUE(torch::equal(model.tensors()[2], torch::zeros({4}))) << "running_mean";
}

class ModelFiles : public StripesFolder {};

TEST_F(ModelFiles, LoadingWhatWasSavedChangesNothing) {
  Model model = built(all_kinds());
  model.initialize(3);
  model.save(path("first"));
  model.initialize(4);
  const auto first = TensorFile::open(path("first"));
  ASSERT_TRUE(first.has_value());
  ASSERT_TRUE(model.load(*first).has_value());
  model.save(path("second"));
  EXPECT_EQ(bytes_of(path("first")), bytes_of(path("second")));
}

TEST_F(ModelFiles, AVarianceBelowZeroIsTakenForZero) {
  const ModelSpec spec{{4}, {layer("batch_norm"), sized("linear", "out_features", 2)}};
  Model model = built(spec);
  {
    torch::NoGradGuard no_grad;
    model.tensors()[3].fill_(-1);
  }
  model.save(path("moved"));
  ASSERT_TRUE(model.load(*TensorFile::open(path("moved"))).has_value());
  model.set_training(false);
  EXPECT_TRUE(torch::isfinite(model.forward(torch::rand({3, 4}))).all().item<bool>());
}

TEST(TrainableModel, KnowsWhetherItIsFinite) {
  Model model = built(all_kinds());
  EXPECT_TRUE(model.is_finite());
  torch::NoGradGuard no_grad;
  model.tensors().back()[0] = std::numeric_limits<float>::infinity();
  EXPECT_FALSE(model.is_finite());
}

}  // namespace
}  // namespace entente::agent
