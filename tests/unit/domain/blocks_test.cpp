// Layers that have layers of their own.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/base/limits.h"
#include "common/domain/attributes.h"
#include "common/domain/layers.h"

namespace entente {
namespace {

LayerSpec layer(std::string kind, Attributes attributes = {}, std::string name = {}) {
  return {std::move(kind), std::move(name), std::move(attributes)};
}

LayerSpec conv(std::int64_t channels, std::int64_t kernel, std::int64_t stride = 1) {
  return layer("conv2d", {{"out_channels", channels},
                          {"kernel_size", kernel},
                          {"stride", stride},
                          {"padding", kernel / 2}});
}

LayerSpec residual(std::vector<LayerSpec> layers, std::vector<LayerSpec> shortcut = {},
                   std::string name = {}) {
  auto block = layer("residual", {}, std::move(name));
  block.layers = std::move(layers);
  block.shortcut = std::move(shortcut);
  return block;
}

std::string fault(const ModelSpec& spec) {
  const auto model = resolve_model(spec);
  EXPECT_FALSE(model);
  return model ? "" : model.error().message + " | " + model.error().hint;
}

std::vector<std::string> tensor_names(const ResolvedModel& model) {
  std::vector<std::string> names;
  for (const auto& tensor : model.layout.tensors) {
    names.push_back(tensor.name);
  }
  return names;
}

TEST(Blocks, TensorsCarryTheNamesOfTheirBlocks) {
  const auto model = resolve_model(
      {{4, 8, 8},
       {residual({conv(6, 3, 2), layer("batch_norm", {}, "norm")}, {conv(6, 1, 2)}, "block")}});
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_EQ(model->output, (Shape{6, 4, 4}));
  EXPECT_THAT(
      tensor_names(*model),
      ::testing::ElementsAre("block.conv2d1.weight", "block.conv2d1.bias", "block.norm.weight",
                             "block.norm.bias", "block.norm.running_mean", "block.norm.running_var",
                             "block.shortcut.conv2d1.weight", "block.shortcut.conv2d1.bias"));
}

// By hand: 6*4*9+6 + 2*6 + 6*4+6; the running statistics, 2*6, are exchanged but no parameters.
TEST(Blocks, RunningStatisticsAreExchangedButAreNoParameters) {
  const auto model =
      resolve_model({{4, 8, 8}, {residual({conv(6, 3, 2), layer("batch_norm")}, {conv(6, 1, 2)})}});
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_EQ(model->parameters(), 264u);
  EXPECT_EQ(model->layout.elements(), 276u);
}

TEST(Blocks, AFaultWithinNamesTheWayToIt) {
  EXPECT_EQ(fault({{4, 8, 8}, {layer("relu"), residual({layer("relu"), layer("linear")})}}),
            "layer 2 \"residual\": its layer 2 \"linear\": out_features is missing | "
            "add out_features = ...");
  EXPECT_EQ(fault({{4, 8, 8}, {residual({conv(4, 3)}, {layer("mean_pool", {}, "m")}, "b")}}),
            "layer 1 \"residual\" (b): its shortcut's layer 1 \"mean_pool\" (m): expects [length, "
            "features], gets [4, 8, 8] | begin with an embedding layer, or give model.input as "
            "[length, features]");
}

TEST(Blocks, BothWaysMustGiveTheSameShape) {
  EXPECT_THAT(fault({{4, 8, 8}, {residual({conv(6, 3)})}}),
              ::testing::StartsWith("layer 1 \"residual\": its layers give [6, 8, 8], its shortcut "
                                    "[4, 8, 8]: they cannot be added | give it a shortcut"));
}

TEST(Blocks, OnlyABlockHasLayers) {
  auto wrong = conv(4, 3);
  wrong.layers = {layer("relu")};
  EXPECT_THAT(fault({{4, 8, 8}, {wrong}}),
              ::testing::HasSubstr("has layers of its own, which only a residual block has"));
  EXPECT_EQ(fault({{4}, {residual({})}}),
            "layer 1 \"residual\": has no layers | give it layers = [{ type = ... }, ...]");
}

TEST(Blocks, NoLayerOfABlockIsCalledLikeItsShortcut) {
  EXPECT_THAT(fault({{4}, {residual({layer("relu", {}, "shortcut")})}}),
              ::testing::HasSubstr("one of its layers is called \"shortcut\""));
}

TEST(Blocks, NestingAndTheSumOfLayersAreBounded) {
  auto deep = layer("relu");
  for (std::size_t depth = 0; depth < limits::kLayerDepthMax; ++depth) {
    deep = residual({deep});
  }
  EXPECT_TRUE(resolve_model({{4}, {deep, layer("linear", {{"out_features", std::int64_t{1}}})}}));
  EXPECT_THAT(fault({{4}, {residual({deep})}}), ::testing::HasSubstr("is a block within 3 others"));
  EXPECT_THAT(
      fault({{4}, std::vector<LayerSpec>(64, residual(std::vector<LayerSpec>(64, layer("relu"))))}),
      ::testing::HasSubstr("with the layers of blocks the model has more than 4096"));
}

TEST(Blocks, AllKindsOfAModelAreFoundWithinThem) {
  EXPECT_THAT(layer_kinds_of({{4, 8, 8}, {residual({layer("relu")}, {layer("gelu")})}}),
              ::testing::ElementsAre("gelu", "relu", "residual"));
}

}  // namespace
}  // namespace entente
