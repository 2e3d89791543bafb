#include "site-agent/training/model.h"

#include <gmock/gmock.h>

#include <set>

#include "tests/unit/training/stripes_fixture.h"

namespace entente::agent {
namespace {

LayerSpec layer(std::string kind, std::map<std::string, Attribute> attributes = {}) {
  return {std::move(kind), "", std::move(attributes)};
}

// Every kind of layer once.
ModelSpec all_kinds() {
  ModelSpec model;
  model.input = {2, 9, 9};
  model.layers = {layer("conv2d", {{"out_channels", std::int64_t{4}},
                                   {"kernel_size", std::int64_t{3}},
                                   {"stride", std::int64_t{2}},
                                   {"padding", std::int64_t{1}},
                                   {"bias", false}}),
                  layer("relu"),
                  layer("max_pool2d", {{"kernel_size", std::int64_t{3}},
                                       {"stride", std::int64_t{2}},
                                       {"padding", std::int64_t{1}}}),
                  layer("flatten"),
                  layer("dropout", {{"p", 0.5}}),
                  layer("linear", {{"out_features", std::int64_t{5}}})};
  return model;
}

Model built(const ModelSpec& spec) {
  auto resolved = resolve_model(spec);
  EXPECT_TRUE(resolved.has_value());
  auto model = Model::build(std::move(*resolved), torch::kCPU);
  EXPECT_TRUE(model.has_value());
  return std::move(*model);
}

TEST(TrainableModel, EveryKindOfLayerIsBuiltAndGivesTheInferredShape) {
  const auto spec = all_kinds();
  std::set<std::string> built_kinds;
  for (const auto& each : spec.layers) {
    built_kinds.insert(each.kind);
  }
  const auto known = layer_kinds();
  EXPECT_EQ(built_kinds, std::set<std::string>(known.begin(), known.end()))
      << "a new kind belongs into this test and into site-agent/training/layers.cpp";

  // Layer by layer: what LibTorch computes must have the shape that the domain inferred.
  for (std::size_t count = 1; count <= spec.layers.size(); ++count) {
    auto first = spec;
    first.layers.resize(count);
    Model model = built(first);
    const auto output = model.forward(torch::rand({3, 2, 9, 9}));
    auto expected = model.spec().output;
    expected.insert(expected.begin(), 3);
    EXPECT_EQ(output.sizes(), at::IntArrayRef(expected)) << first.layers.back().kind;
  }
}

class ModelFiles : public StripesFolder {};

TEST_F(ModelFiles, AnUpdateIsLocalMinusGlobalExactly) {
  Model model = built(all_kinds());
  model.initialize(3);
  model.save(path("global"));
  const auto global = TensorFile::open(path("global"));
  ASSERT_TRUE(global.has_value());
  {
    torch::NoGradGuard no_grad;
    for (const auto& parameter : model.parameters()) {
      parameter.add_(torch::rand_like(parameter), 1e-3);
    }
  }
  model.save(path("local"));
  model.save_difference(*global, path("update"));

  const auto& layout = model.spec().layout;
  const auto local = TensorFile::open(path("local"));
  const auto update = TensorFile::open(path("update"));
  const auto g = *global->flat(layout);
  const auto l = *local->flat(layout);
  const auto u = *update->flat(layout);
  ASSERT_EQ(u.size(), layout.elements());
  for (std::size_t i = 0; i < u.size(); ++i) {
    EXPECT_EQ(u[i], l[i] - g[i]);
    EXPECT_FLOAT_EQ(g[i] + u[i], l[i]);
  }
}

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

TEST(TrainableModel, KnowsWhetherItIsFinite) {
  Model model = built(all_kinds());
  EXPECT_TRUE(model.is_finite());
  torch::NoGradGuard no_grad;
  model.parameters().back()[0] = std::numeric_limits<float>::infinity();
  EXPECT_FALSE(model.is_finite());
}

}  // namespace
}  // namespace entente::agent
