#include "common/domain/update_encodings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "common/domain/strategy_kinds.h"

namespace entente {
namespace {

using testing::HasSubstr;

StrategySpec strategy(std::string kind) {
  StrategySpec spec;
  spec.kind = std::move(kind);
  return spec;
}

std::string why_refused(const UpdateSpec& spec, const std::string& kind = "fedavg") {
  const auto sound = check_update_spec(spec, strategy(kind));
  if (sound) {
    return "accepted";
  }
  EXPECT_EQ(sound.error().code, "job_invalid");
  EXPECT_FALSE(sound.error().hint.empty());
  return sound.error().message;
}

TEST(UpdateEncodings, AreTheOnesOfTheDocumentation) {
  EXPECT_THAT(encoding_names(), testing::ElementsAre("float32", "f16", "bf16", "int8", "topk"));
  for (const auto& name : encoding_names()) {
    EXPECT_EQ(why_refused({name, std::nullopt}), "accepted") << name;
  }
  EXPECT_EQ(why_refused({"bf15", std::nullopt}),
            "update.encoding is \"bf15\", which is unknown; did you mean \"bf16\"?");
}

TEST(UpdateEncodings, FractionIsForTopKAlone) {
  EXPECT_THAT(why_refused({"int8", 0.1}), HasSubstr("update.fraction has no effect"));
  EXPECT_EQ(why_refused({"topk", 0.5}), "accepted");
  for (const double fraction : {0.0, -0.1, 0.51, std::numeric_limits<double>::quiet_NaN()}) {
    EXPECT_THAT(why_refused({"topk", fraction}), HasSubstr("must be above 0 and at most 0.5"));
  }
}

TEST(UpdateEncodings, OfSparseValuesAreNotForRulesThatCompareUpdates) {
  for (const auto& kind : strategy_names()) {
    const auto why = why_refused({"topk", std::nullopt}, kind);
    if (is_robust(strategy(kind))) {
      EXPECT_THAT(why, HasSubstr("voids what strategy.kind \"" + kind + "\" promises"));
    } else {
      EXPECT_EQ(why, "accepted") << kind;
    }
    EXPECT_EQ(why_refused({"int8", std::nullopt}, kind), "accepted") << kind;
  }
  EXPECT_TRUE(is_robust(strategy("krum")));
  EXPECT_FALSE(is_robust(strategy("fedadam")));
}

TEST(UpdateEncodings, SendAtLeastOneValueAndNeverMoreThanAll) {
  EXPECT_EQ(values_sent({"topk", 0.1}, 106'122), 10'613U);
  EXPECT_EQ(values_sent({"topk", 0.001}, 10), 1U);
  EXPECT_EQ(values_sent({"topk", 0.5}, 1), 1U);
  EXPECT_EQ(values_sent({"topk", std::nullopt}, 1000), 50U);
}

TEST(UpdateEncodings, HaveWidePlacesOnlyWhereTheyDoNotFit) {
  const auto dtype_of = [](std::int64_t values) {
    return encoded_layout({{{"w", {values}}}}, {"topk", 0.5}).tensors[0].dtype;
  };
  EXPECT_EQ(dtype_of((std::int64_t{1} << 31) - 1), DType::i32);
  EXPECT_EQ(dtype_of(std::int64_t{1} << 31), DType::i64);
}

TEST(UpdateEncodings, GiveEachTensorScalesOfItsOwn) {
  const auto layout = encoded_layout({{{"a", {2049}}, {"b", {}}}}, {"int8", std::nullopt});
  EXPECT_EQ(
      layout.tensors,
      (std::vector<TensorInfo>{
          {"a:scale", {2}}, {"b:scale", {1}}, {"a", {2049}, DType::i8}, {"b", {}, DType::i8}}));
}

}  // namespace
}  // namespace entente
