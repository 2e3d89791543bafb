#include "common/domain/architectures.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/domain/layers.h"

namespace entente {
namespace {

using Integer = std::int64_t;

ResolvedModel expanded(const ArchitectureSpec& spec, const Shape& input) {
  const auto layers = expand_architecture(spec, input);
  EXPECT_TRUE(layers) << layers.error().message;
  auto model = resolve_model({input, layers.value_or(std::vector<LayerSpec>())});
  EXPECT_TRUE(model) << model.error().message;
  return model.value_or(ResolvedModel{});
}

std::string fault(const ArchitectureSpec& spec) {
  const auto layers = expand_architecture(spec, {1, 28, 28});
  EXPECT_FALSE(layers);
  return layers ? "" : layers.error().message;
}

// LeNet-5 in its modern form: d2l.ai, section 7.6.
TEST(Architectures, LenetHasItsKnownParameters) {
  EXPECT_EQ(expanded({"lenet"}, {1, 28, 28}).parameters(), 61'706u);
}

// By hand: 784*64+64 + 64*64+64 + 64*10+10.
TEST(Architectures, MlpHasALayerForEachWidth) {
  const auto model = expanded({"mlp", {{"outputs", Integer{10}}}, {64, 64}}, {1, 28, 28});
  EXPECT_EQ(model.parameters(), 55'050u);
  EXPECT_EQ(model.layers.front().spec.kind, "flatten");
  EXPECT_EQ(model.layout.tensors.back().name, "output.bias");
}

TEST(Architectures, LinearOfAFlatInputIsOneLayer) {
  EXPECT_EQ(expanded({"linear"}, {30}).layers.size(), 1u);
  EXPECT_EQ(expanded({"logistic", {{"outputs", Integer{2}}}}, {30}).parameters(), 62u);
}

// By hand, without biases in the convolutions: 432 + 32; 2*(2304+32); 4608+9216+2*64+512+64;
// 18432+36864+2*128+2048+128; 650.
TEST(Architectures, Resnet8HasThreeBlocks) {
  const auto model = expanded({"resnet8"}, {3, 32, 32});
  EXPECT_EQ(model.parameters(), 464u + 4672 + 14'528 + 57'728 + 650);
  EXPECT_EQ(model.output, Shape{10});
  EXPECT_TRUE(model.needs_pairs());
  EXPECT_FALSE(expanded({"resnet8", {{"group_norm", true}}}, {3, 32, 32}).needs_pairs());
}

// By hand: 1000*64 + 4*128*(64+128+2) + 4*128*(128+128+2) + 128*4+4.
TEST(Architectures, RecurrentClassifiersHaveTwoLayersUnlessTold) {
  const Attributes sizes{{"outputs", Integer{4}}, {"vocabulary", Integer{1000}}};
  EXPECT_EQ(expanded({"lstm_classifier", sizes}, {20}).parameters(),
            64'000u + 99'328 + 132'096 + 516);
  EXPECT_LT(expanded({"gru_classifier", sizes}, {20}).parameters(),
            expanded({"lstm_classifier", sizes}, {20}).parameters());
}

// By hand, for each block: 2*64 + 3*64*64+3*64 + 64*64+64; 2*64 + 64*128+128 + 128*64+64.
TEST(Architectures, TransformerEncoderHasTwoResidualPartsInEachBlock) {
  const auto model = expanded(
      {"transformer_encoder", {{"outputs", Integer{4}}, {"vocabulary", Integer{1000}}}}, {20});
  EXPECT_EQ(model.parameters(), 64'000u + 2 * (16'768 + 16'704) + 128 + 260);
  EXPECT_EQ(model.output, Shape{4});
}

TEST(Architectures, EveryOneExpandsToLayersThatFit) {
  for (const auto& name : architecture_names()) {
    ArchitectureSpec spec{name, {{"outputs", Integer{3}}}, {}};
    const auto attributes = architecture_attributes(name);
    const bool takes_tokens =
        std::find(attributes.begin(), attributes.end(), "vocabulary") != attributes.end();
    if (takes_tokens) {
      spec.attributes["vocabulary"] = Integer{50};
    }
    if (name == "mlp") {
      spec.hidden = {5};
    }
    EXPECT_EQ(expanded(spec, takes_tokens ? Shape{20} : Shape{1, 28, 28}).output, Shape{3}) << name;
  }
}

TEST(Architectures, WhatIsWrongIsNamed) {
  EXPECT_EQ(fault({"resnet9"}),
            "model.architecture is \"resnet9\", which is unknown; did you mean \"resnet8\"?");
  EXPECT_EQ(fault({"mlp", {{"outputs", Integer{10}}}}), "model.hidden is missing");
  EXPECT_EQ(fault({"lenet", {}, {64}}), "model.hidden has no effect: lenet has no such layers");
  EXPECT_EQ(fault({"mlp", {}, {64}}), "model.architecture \"mlp\": outputs is missing");
  EXPECT_EQ(fault({"lenet", {{"outputs", 2.5}}}),
            "model.architecture \"lenet\": outputs must be an integer");
}

}  // namespace
}  // namespace entente
