#include "common/domain/tensor_layout.h"

#include <gtest/gtest.h>

#include <limits>

#include "common/domain/site.h"

namespace entente {
namespace {

constexpr auto kSaturated = std::numeric_limits<std::uint64_t>::max();

TEST(TensorLayout, CountsElements) {
  EXPECT_EQ((TensorInfo{"scalar", {}}.elements()), 1u);
  EXPECT_EQ((TensorInfo{"conv", {16, 1, 5, 5}}.elements()), 400u);
  EXPECT_EQ((TensorInfo{"empty", {16, 0}}.elements()), 0u);
  EXPECT_EQ((TensorLayout{{{"a", {2, 3}}, {"b", {4}}}}.elements()), 10u);
  EXPECT_EQ(TensorLayout{}.elements(), 0u);
}

TEST(TensorLayout, AHostileShapeSaturatesInsteadOfWrappingAround) {
  const std::int64_t big = std::int64_t{1} << 32;
  EXPECT_EQ((TensorInfo{"wraps to 0", {big, big}}.elements()), kSaturated);
  EXPECT_EQ((TensorInfo{"negative", {-2, -3}}.elements()), kSaturated);
  EXPECT_EQ((TensorInfo{"empty after all", {big, big, 0}}.elements()), 0u);
  const TensorInfo huge{"huge", {big, big / 2}};
  EXPECT_EQ((TensorLayout{{huge, huge}}.elements()), kSaturated);
}

TEST(SiteAdvert, FindsADatasetByItsWholeName) {
  SiteAdvert advert;
  advert.datasets.push_back({"fashion-mnist", "idx", 60'000, {1, 28, 28}, 10});
  ASSERT_NE(advert.find("fashion-mnist"), nullptr);
  EXPECT_EQ(advert.find("fashion-mnist")->examples, 60'000u);
  EXPECT_EQ(advert.find("fashion"), nullptr);
  EXPECT_EQ(advert.find("fashion-mnist-test"), nullptr);
}

}  // namespace
}  // namespace entente
