#include "common/base/nearest.h"

#include <gtest/gtest.h>

namespace entente {
namespace {

const std::vector<std::string> kKinds{"linear", "conv2d", "max_pool2d", "relu", "flatten"};

TEST(Nearest, FindsAWordWithinAThirdOfItsLength) {
  EXPECT_EQ(nearest("liner", kKinds), "linear");
  EXPECT_EQ(nearest("conv3d", kKinds), "conv2d");
  EXPECT_EQ(nearest("maxpool2d", kKinds), "max_pool2d");
  EXPECT_EQ(nearest("relu", kKinds), "relu");
}

TEST(Nearest, ASwapOfNeighboursIsOneEdit) {
  EXPECT_EQ(nearest("rleu", kKinds), "relu");
  EXPECT_EQ(nearest("falttne", kKinds), "flatten");
}

TEST(Nearest, SaysNothingWhenNothingIsNear) {
  EXPECT_EQ(nearest("lstm", kKinds), std::nullopt);
  EXPECT_EQ(nearest("", kKinds), std::nullopt);
  EXPECT_EQ(nearest("re", kKinds), std::nullopt);
  EXPECT_EQ(nearest("rexuy", kKinds), std::nullopt) << "two edits of five bytes";
  EXPECT_EQ(nearest("relu", {}), std::nullopt);
  EXPECT_EQ(nearest(std::string(1 << 20, 'x'), kKinds), std::nullopt);
}

TEST(Nearest, PrefersTheSmallerDistanceThenTheFirst) {
  EXPECT_EQ(nearest("rounds", {"founds", "round", "rounds"}), "rounds");
  EXPECT_EQ(nearest("cat", {"bat", "hat"}), "bat");
}

TEST(Nearest, SuggestionEndsASentence) {
  EXPECT_EQ(suggestion("liner", kKinds), "; did you mean \"linear\"?");
  EXPECT_EQ(suggestion("lstm", {"linear", "relu"}), "; known are linear, relu");
  EXPECT_EQ(suggestion("lstm", {}), "");
}

}  // namespace
}  // namespace entente
