#include "common/domain/layers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <ostream>

#include "common/base/limits.h"
#include "common/domain/attributes.h"

namespace entente {
namespace {

LayerSpec layer(std::string kind, Attributes attributes = {}, std::string name = {}) {
  return {std::move(kind), std::move(name), std::move(attributes)};
}

LayerSpec conv(std::int64_t channels, std::int64_t kernel, Attributes more = {}) {
  more["out_channels"] = channels;
  more["kernel_size"] = kernel;
  return layer("conv2d", std::move(more));
}

LayerSpec linear(std::int64_t features, Attributes more = {}) {
  more["out_features"] = features;
  return layer("linear", std::move(more));
}

LayerSpec pool(std::int64_t kernel, Attributes more = {}) {
  more["kernel_size"] = kernel;
  return layer("max_pool2d", std::move(more));
}

std::vector<std::string> tensor_names(const ResolvedModel& model) {
  std::vector<std::string> names;
  for (const auto& tensor : model.layout.tensors) {
    names.push_back(tensor.name);
  }
  return names;
}

// LeNet-5 in its modern form has 61,706 parameters: d2l.ai, section 7.6, table of its layers
// (6*25+6, 16*6*25+16, 400*120+120, 120*84+84, 84*10+10).
TEST(Layers, LeNetHasItsKnownShapesAndParameters) {
  const auto model =
      resolve_model({{1, 28, 28},
                     {conv(6, 5, {{"padding", std::int64_t{2}}}), layer("relu"), pool(2),
                      conv(16, 5), layer("relu"), pool(2), layer("flatten"), linear(120),
                      layer("relu"), linear(84), layer("relu"), linear(10)}});
  ASSERT_TRUE(model) << model.error().message;
  const std::vector<Shape> expected{{6, 28, 28},  {6, 28, 28}, {6, 14, 14}, {16, 10, 10},
                                    {16, 10, 10}, {16, 5, 5},  {400},       {120},
                                    {120},        {84},        {84},        {10}};
  ASSERT_EQ(model->layers.size(), expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    EXPECT_EQ(model->layers[i].output, expected[i]) << "layer " << i + 1;
    EXPECT_EQ(model->layers[i].input, i == 0 ? (Shape{1, 28, 28}) : expected[i - 1]);
  }
  EXPECT_EQ(model->parameters(), 61'706u);
  EXPECT_EQ(model->output, Shape{10});
  EXPECT_EQ(model->layout.tensors[0], (TensorInfo{"conv2d1.weight", {6, 1, 5, 5}}));
  EXPECT_EQ(model->layout.tensors[1], (TensorInfo{"conv2d1.bias", {6}}));
  EXPECT_EQ(model->layout.tensors[4], (TensorInfo{"linear1.weight", {120, 400}}));
  EXPECT_THAT(
      tensor_names(*model),
      ::testing::ElementsAre("conv2d1.weight", "conv2d1.bias", "conv2d2.weight", "conv2d2.bias",
                             "linear1.weight", "linear1.bias", "linear2.weight", "linear2.bias",
                             "linear3.weight", "linear3.bias"));
}

// By hand: (7 + 2*1 - 3) / 2 + 1 = 4, (10 + 2 - 3) / 2 + 1 = 5 (rounded down).
TEST(Layers, StrideAndPaddingRoundDown) {
  const auto model = resolve_model(
      {{3, 7, 10}, {conv(4, 3, {{"stride", std::int64_t{2}}, {"padding", std::int64_t{1}}})}});
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_EQ(model->output, (Shape{4, 4, 5}));
}

// By hand: stride 3 = kernel_size: (8 - 3) / 3 + 1 = 2; stride 1, padding 1: (8 + 2 - 3) + 1 = 8.
TEST(Layers, MaxPoolStridesByItsKernelUnlessTold) {
  EXPECT_EQ(resolve_model({{2, 8, 8}, {conv(2, 1), pool(3)}})->output, (Shape{2, 2, 2}));
  EXPECT_EQ(resolve_model({{2, 8, 8},
                           {conv(2, 1),
                            pool(3, {{"stride", std::int64_t{1}}, {"padding", std::int64_t{1}}})}})
                ->output,
            (Shape{2, 8, 8}));
}

TEST(Layers, WithoutBiasThereIsOneTensor) {
  const auto model = resolve_model({{4}, {linear(2, {{"bias", false}})}});
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_EQ(model->layout.tensors, (std::vector<TensorInfo>{{"linear1.weight", {2, 4}}}));
}

TEST(Layers, DefaultsAndInferredAttributesAreFilledIn) {
  const auto model = resolve_model(
      {{3, 8, 8},
       {conv(4, 3), pool(2), layer("dropout"), layer("dropout", {{"p", std::int64_t{0}}})}});
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_EQ(model->layers[0].spec.attributes, (Attributes{{"out_channels", std::int64_t{4}},
                                                          {"kernel_size", std::int64_t{3}},
                                                          {"stride", std::int64_t{1}},
                                                          {"padding", std::int64_t{0}},
                                                          {"in_channels", std::int64_t{3}},
                                                          {"bias", true}}));
  EXPECT_EQ(model->layers[1].spec.attributes.at("stride"), Attribute{std::int64_t{2}});
  EXPECT_EQ(model->layers[2].spec.attributes.at("p"), Attribute{0.5});
  EXPECT_EQ(model->layers[3].spec.attributes.at("p"), Attribute{0.0}) << "an integer is a number";
}

TEST(Layers, GivenInputsMustAgreeWithTheShape) {
  EXPECT_TRUE(resolve_model({{4}, {linear(2, {{"in_features", std::int64_t{4}}})}}));
  EXPECT_TRUE(resolve_model({{3, 8, 8}, {conv(2, 3, {{"in_channels", std::int64_t{3}}})}}));
}

struct Invalid {
  const char* rule;
  ModelSpec model;
  std::string message;
  std::string hint;
};

void PrintTo(const Invalid& tested, std::ostream* out) { *out << tested.rule; }

class InvalidModel : public ::testing::TestWithParam<Invalid> {};

TEST_P(InvalidModel, IsRefusedWithTheLayerTheCauseAndTheNextStep) {
  const auto model = resolve_model(GetParam().model);
  ASSERT_FALSE(model);
  EXPECT_EQ(model.error().code, "model_invalid");
  EXPECT_EQ(model.error().message, GetParam().message);
  EXPECT_EQ(model.error().hint, GetParam().hint);
}

const std::string kKnown =
    "linear, relu, leaky_relu, elu, gelu, silu, tanh, sigmoid, flatten, dropout, batch_norm, "
    "group_norm, layer_norm, conv2d, max_pool2d, avg_pool2d, global_max_pool, global_avg_pool, "
    "embedding, lstm, gru, self_attention, positional_encoding, mean_pool, residual";
constexpr std::int64_t kHuge = std::numeric_limits<std::int64_t>::max();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
const char* const kShapeHint = "give the shape of one example, for example input = [1, 28, 28]";
const char* const kImageHint =
    "image layers come before flatten, and model.input is [channels, height, width]";
const char* const kNameHint = "use 1 to 63 of a-z, 0-9, _ and -, starting with a letter";
const char* const kAttributesHint = "docs/models.md lists every attribute";

INSTANTIATE_TEST_SUITE_P(
    Layers, InvalidModel,
    ::testing::Values(
        Invalid{"NoInput",
                {{}, {linear(2)}},
                "model.input has 0 dimensions, must have 1 to 8",
                kShapeHint},
        Invalid{"NineDimensions",
                {Shape(9, 1), {linear(2)}},
                "model.input has 9 dimensions, must have 1 to 8",
                kShapeHint},
        Invalid{
            "ZeroDimension",
            {{1, 0}, {linear(2)}},
            "model.input is [1, 0], must have positive dimensions and at most 68719476736 values",
            kShapeHint},
        Invalid{"NegativeDimensionsWithAPositiveProduct",
                {{-2, -2}, {layer("flatten"), linear(2)}},
                "model.input is [-2, -2], must have positive dimensions and at most 68719476736 "
                "values",
                kShapeHint},
        Invalid{"InputThatOverflows",
                {{kHuge, kHuge}, {layer("flatten"), linear(2)}},
                "model.input is [9223372036854775807, 9223372036854775807], must have positive "
                "dimensions and at most 68719476736 values",
                kShapeHint},
        Invalid{"NoLayers",
                {{4}, {}},
                "model.layers has 0 layers, must have 1 to 4096",
                "describe each layer in a [[model.layers]] table"},
        Invalid{"TooManyLayers",
                {{4}, std::vector<LayerSpec>(4097, layer("relu"))},
                "model.layers has 4097 layers, must have 1 to 4096",
                "describe each layer in a [[model.layers]] table"},
        Invalid{"NothingToTrain",
                {{4}, {layer("relu")}},
                "model.layers has no layer with parameters, there is nothing to train",
                "add a linear or conv2d layer"},
        Invalid{"UnknownKind",
                {{4}, {layer("relu"), layer("liner")}},
                "layer 2 \"liner\": there is no such kind of layer; did you mean \"linear\"?",
                "docs/models.md lists the kinds of layers"},
        Invalid{"UnknownKindFarFromAll",
                {{4}, {layer("transformer")}},
                "layer 1 \"transformer\": there is no such kind of layer; known are " + kKnown,
                "docs/models.md lists the kinds of layers"},
        Invalid{"KindWithATerminalSequence",
                {{4}, {layer("\x1b[2J")}},
                "layer 1 \"\\x1b[2J\": there is no such kind of layer; known are " + kKnown,
                "docs/models.md lists the kinds of layers"},
        Invalid{"UnknownAttribute",
                {{4}, {linear(2, {{"out_feature", std::int64_t{2}}})}},
                "layer 1 \"linear\": unknown attribute \"out_feature\"; did you mean "
                "\"out_features\"?",
                kAttributesHint},
        Invalid{"AttributeOfALayerThatHasNone",
                {{4}, {layer("relu", {{"slope", 0.1}})}},
                "layer 1 \"relu\": unknown attribute \"slope\"",
                kAttributesHint},
        Invalid{"MissingAttribute",
                {{4}, {layer("linear")}},
                "layer 1 \"linear\": out_features is missing",
                "add out_features = ..."},
        Invalid{"FractionForAnInteger",
                {{4}, {layer("linear", {{"out_features", 2.0}})}},
                "layer 1 \"linear\": out_features must be an integer",
                "set out_features to a value from 1 to 68719476736"},
        Invalid{"StringForABoolean",
                {{4}, {linear(2, {{"bias", std::string("true")}})}},
                "layer 1 \"linear\": bias must be true or false",
                "write true or false without quotes"},
        Invalid{"ZeroFeatures",
                {{4}, {linear(0)}},
                "layer 1 \"linear\": out_features is 0, must be from 1 to 68719476736",
                "set out_features to a value from 1 to 68719476736"},
        Invalid{"ZeroStride",
                {{1, 8, 8}, {conv(1, 3, {{"stride", std::int64_t{0}}})}},
                "layer 1 \"conv2d\": stride is 0, must be from 1 to 65536",
                "set stride to a value from 1 to 65536"},
        Invalid{"NegativePadding",
                {{1, 8, 8}, {conv(1, 3, {{"padding", std::int64_t{-1}}})}},
                "layer 1 \"conv2d\": padding is -1, must be from 0 to 65536",
                "set padding to a value from 0 to 65536"},
        Invalid{"DropoutThatIsNoNumber",
                {{4}, {layer("dropout", {{"p", kNan}})}},
                "layer 1 \"dropout\": p is nan, must be from 0 to 1",
                "set p to a value from 0 to 1"},
        Invalid{"LinearOnAnImage",
                {{16, 12, 12},
                 {layer("relu"), layer("relu"),
                  layer("linear", {{"out_features", std::int64_t{2}}}, "fc1")}},
                "layer 3 \"linear\" (fc1): expects a flat input, gets [16, 12, 12]",
                "put a flatten layer before it"},
        Invalid{"ConvolutionOnAFlatInput",
                {{784}, {conv(2, 3)}},
                "layer 1 \"conv2d\": expects [channels, height, width], gets [784]",
                kImageHint},
        Invalid{"PoolOnAFlatInput",
                {{784}, {pool(2)}},
                "layer 1 \"max_pool2d\": expects [channels, height, width], gets [784]",
                kImageHint},
        Invalid{"KernelLargerThanItsInput",
                {{1, 4, 28}, {conv(1, 7, {{"padding", std::int64_t{1}}})}},
                "layer 1 \"conv2d\": kernel_size is 7, larger than its padded input, [1, 6, 30]",
                "make kernel_size smaller, or the strides of the layers before it"},
        Invalid{"PoolWindowInsideThePadding",
                {{1, 8, 8}, {pool(3, {{"padding", std::int64_t{2}}})}},
                "layer 1 \"max_pool2d\": padding is 2, more than half of kernel_size, 3",
                "set padding to at most 1"},
        Invalid{"ContradictingInFeatures",
                {{4}, {linear(2, {{"in_features", std::int64_t{5}}})}},
                "layer 1 \"linear\": in_features is 5, but it gets [4]",
                "set in_features to 4 or leave it out"},
        Invalid{"ContradictingInChannels",
                {{3, 8, 8}, {conv(2, 3, {{"in_channels", std::int64_t{1}}})}},
                "layer 1 \"conv2d\": in_channels is 1, but it gets [3, 8, 8]",
                "set in_channels to 3 or leave it out"},
        Invalid{"NameTwice",
                {{4}, {layer("relu", {}, "a"), layer("relu", {}, "a")}},
                "layer 2 \"relu\" (a): layer 1 is called \"a\" as well",
                "give one of the two another name"},
        Invalid{"NameThatIsAnothersDefault",
                {{4}, {layer("relu", {}, "relu2"), layer("relu")}},
                "layer 2 \"relu\": layer 1 is called \"relu2\" as well",
                "give one of the two another name"},
        Invalid{"NameWithADot",
                {{4}, {layer("relu", {}, "a.weight")}},
                "layer 1 \"relu\": \"a.weight\" is not a legal layer name",
                kNameHint},
        Invalid{"NameTooLong",
                {{4}, {layer("relu", {}, std::string(64, 'a'))}},
                "layer 1 \"relu\": \"" + std::string(64, 'a') + "\" is not a legal layer name",
                kNameHint},
        Invalid{"TooManyParameters",
                {{std::int64_t{1} << 20}, {linear(std::int64_t{1} << 17)}},
                "layer 1 \"linear\": with linear1.weight [131072, 1048576] the model has more than "
                "68719476736 parameters",
                "make the layer smaller"},
        Invalid{
            "TooManyParametersByOneBias",
            {{std::int64_t{1} << 18}, {linear(std::int64_t{1} << 18)}},
            "layer 1 \"linear\": with linear1.bias [262144] the model has more than 68719476736 "
            "parameters",
            "make the layer smaller"},
        Invalid{
            "OutputTooLarge",
            {{1, 1024, 1024}, {conv(std::int64_t{1} << 36, 1)}},
            "layer 1 \"conv2d\": its output [68719476736, 1024, 1024] is larger than 68719476736 "
            "values",
            "make the layer smaller"}),
    [](const auto& tested) { return tested.param.rule; });

TEST(Layers, AModelAtTheLimitOfParametersIsLegal) {
  const auto model =
      resolve_model({{std::int64_t{1} << 18}, {linear(std::int64_t{1} << 18, {{"bias", false}})}});
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_EQ(model->parameters(), limits::kModelParametersMax);
}

TEST(Layers, ShapesAreShownInBrackets) {
  EXPECT_EQ(to_string(Shape{16, 12, 12}), "[16, 12, 12]");
  EXPECT_EQ(to_string(Shape{}), "[]");
}

}  // namespace
}  // namespace entente
