// Shapes and parameters of normalisation, pooling and sequence layers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/domain/attributes.h"
#include "common/domain/layers.h"

namespace entente {
namespace {

LayerSpec layer(std::string kind, Attributes attributes = {}) {
  return {std::move(kind), "", std::move(attributes)};
}

LayerSpec embedding(std::int64_t tokens, std::int64_t features) {
  return layer("embedding", {{"num_embeddings", tokens}, {"embedding_dim", features}});
}

ResolvedModel resolved(const ModelSpec& spec) {
  auto model = resolve_model(spec);
  EXPECT_TRUE(model) << model.error().message;
  return model.value_or(ResolvedModel{});
}

std::string fault(const ModelSpec& spec) {
  const auto model = resolve_model(spec);
  EXPECT_FALSE(model);
  return model ? "" : model.error().message;
}

// torch.nn.LSTM(8, 16, num_layers=2, bidirectional=True) has 4*16*(8+16+2)*2 + 4*16*(32+16+2)*2.
TEST(SequenceLayers, AnLstmHasTheParametersOfTorch) {
  const auto model = resolved({{20},
                               {embedding(100, 8), layer("lstm", {{"hidden_size", std::int64_t{16}},
                                                                  {"num_layers", std::int64_t{2}},
                                                                  {"bidirectional", true}})}});
  EXPECT_EQ(model.parameters(), 100u * 8 + 3328 + 6400);
  EXPECT_EQ(model.output, Shape{32}) << "the last state of both directions";
  EXPECT_EQ(model.layout.tensors[5], (TensorInfo{"lstm1.weight_ih_l0_reverse", {64, 8}}));
  EXPECT_EQ(model.layout.tensors[9], (TensorInfo{"lstm1.weight_ih_l1", {64, 32}}));
}

TEST(SequenceLayers, AGruHasThreeGatesAndMayGiveEveryState) {
  const auto model = resolved(
      {{20, 8}, {layer("gru", {{"hidden_size", std::int64_t{16}}, {"return_sequences", true}})}});
  EXPECT_EQ(model.parameters(), 3u * 16 * (8 + 16 + 2));
  EXPECT_EQ(model.output, (Shape{20, 16}));
}

// torch.nn.MultiheadAttention(16, 4): 3*16*16 + 3*16 + 16*16 + 16.
TEST(SequenceLayers, SelfAttentionHasTheParametersOfTorch) {
  const auto model =
      resolved({{20, 16},
                {layer("positional_encoding"),
                 layer("self_attention", {{"num_heads", std::int64_t{4}}}), layer("mean_pool")}});
  EXPECT_EQ(model.parameters(), 1088u);
  EXPECT_EQ(model.output, Shape{16});
  EXPECT_THAT(fault({{20, 16}, {layer("self_attention", {{"num_heads", std::int64_t{5}}})}}),
              ::testing::HasSubstr("num_heads is 5, which does not divide the 16 features"));
  EXPECT_THAT(fault({{1 << 17, 4}, {layer("self_attention", {{"num_heads", std::int64_t{1}}})}}),
              ::testing::HasSubstr("longer than 65536"));
}

TEST(SequenceLayers, LinearWorksOnEachPositionAlike) {
  const auto model = resolved({{20, 8}, {layer("linear", {{"out_features", std::int64_t{3}}})}});
  EXPECT_EQ(model.output, (Shape{20, 3}));
  EXPECT_EQ(model.parameters(), 27u);
}

TEST(SequenceLayers, AnEmbeddingIsFirstAndNamesTheVocabulary) {
  EXPECT_EQ(resolved({{20}, {embedding(100, 8)}}).vocabulary(), 100);
  EXPECT_EQ(resolved({{4}, {layer("linear", {{"out_features", std::int64_t{3}}})}}).vocabulary(),
            std::nullopt);
  EXPECT_EQ(
      fault({{20}, {layer("relu"), embedding(100, 8)}}),
      "layer 2 \"embedding\": takes tokens, which are whole numbers and which no layer gives");
  EXPECT_EQ(fault({{2, 20}, {embedding(100, 8)}}),
            "layer 1 \"embedding\": expects [length], gets [2, 20]");
}

TEST(SequenceLayers, AHostileSizeIsRefusedWithoutOverflow) {
  constexpr auto kLarge = std::int64_t{1} << 36;
  EXPECT_THAT(fault({{20, 8}, {layer("lstm", {{"hidden_size", kLarge}})}}),
              ::testing::HasSubstr("lstm1.weight_ih_l0 [274877906944, 8] the model has more than"));
  EXPECT_THAT(fault({{20}, {embedding(kLarge, kLarge)}}), ::testing::HasSubstr("larger than"));
}

TEST(NormLayers, HaveTwoParametersForEachChannel) {
  EXPECT_EQ(resolved({{6, 4, 4}, {layer("batch_norm")}}).parameters(), 12u);
  EXPECT_EQ(resolved({{6}, {layer("batch_norm")}}).layout.elements(), 24u);
  EXPECT_EQ(
      resolved({{6, 4, 4}, {layer("group_norm", {{"num_groups", std::int64_t{3}}})}}).parameters(),
      12u);
  EXPECT_EQ(resolved({{20, 6}, {layer("layer_norm")}}).parameters(), 12u);
  EXPECT_THAT(
      fault({{20, 6}, {layer("batch_norm")}}),
      ::testing::HasSubstr("expects [features] or [channels, height, width], gets [20, 6]"));
  EXPECT_THAT(fault({{6, 4, 4}, {layer("group_norm", {{"num_groups", std::int64_t{4}}})}}),
              ::testing::HasSubstr("num_groups is 4, which does not divide the 6 channels"));
}

TEST(PoolLayers, AverageLikeMaximumAndGlobalToOneValue) {
  const Attributes window{{"kernel_size", std::int64_t{3}}, {"stride", std::int64_t{2}}};
  const auto linear = layer("linear", {{"out_features", std::int64_t{1}}});
  EXPECT_EQ(resolved({{6, 7, 7}, {layer("avg_pool2d", window), layer("flatten"), linear}})
                .layers[0]
                .output,
            (Shape{6, 3, 3}));
  EXPECT_EQ(resolved({{6, 7, 7}, {layer("global_avg_pool"), linear}}).layers[0].output, Shape{6});
  EXPECT_EQ(resolved({{6, 7, 7}, {layer("global_max_pool"), linear}}).layers[0].output, Shape{6});
}

}  // namespace
}  // namespace entente
