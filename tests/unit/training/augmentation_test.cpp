// What becomes of small pictures, by hand.
#include "site-agent/training/augmentation.h"

#include <gmock/gmock.h>

#include <numeric>
#include <set>
#include <vector>

namespace entente::agent {
namespace {

using ::testing::ElementsAre;
using ::testing::FloatEq;

constexpr std::uint64_t kSeed = 7;

// Two rows of three pixels:  1 2 3
//                            4 5 6
const Shape kShape{1, 2, 3};

Variation whole() {
  Variation variation;
  variation.height = 2;
  variation.width = 3;
  return variation;
}

std::vector<float> vary(const Variation& variation) {
  const std::vector<float> picture{1, 2, 3, 4, 5, 6};
  std::vector<float> result(picture.size(), -1);
  vary_picture(variation, kShape, picture, result);
  return result;
}

TEST(Augmentation, NothingDrawnLeavesThePictureAsItIs) {
  EXPECT_THAT(vary(whole()), ElementsAre(1, 2, 3, 4, 5, 6));
}

TEST(Augmentation, FlipsMirror) {
  auto variation = whole();
  variation.flip_horizontal = true;
  EXPECT_THAT(vary(variation), ElementsAre(3, 2, 1, 6, 5, 4));
  variation.flip_vertical = true;
  EXPECT_THAT(vary(variation), ElementsAre(6, 5, 4, 3, 2, 1));
  variation.flip_horizontal = false;
  EXPECT_THAT(vary(variation), ElementsAre(4, 5, 6, 1, 2, 3));
}

TEST(Augmentation, AShiftLeavesZerosBehind) {
  auto variation = whole();
  variation.right = 1;
  EXPECT_THAT(vary(variation), ElementsAre(0, 1, 2, 0, 4, 5));
  variation.down = -1;
  EXPECT_THAT(vary(variation), ElementsAre(0, 4, 5, 0, 0, 0));
}

TEST(Augmentation, AFlippedPictureIsShiftedAfterwards) {
  auto variation = whole();
  variation.flip_horizontal = true;
  variation.right = -2;
  EXPECT_THAT(vary(variation), ElementsAre(1, 0, 0, 4, 0, 0));
}

// The window is 2 5. Pixel i of three lies at (i + 0.5) / 3 - 0.5 of one: always within it.
TEST(Augmentation, ACropOfOneColumnFillsTheWidth) {
  auto variation = whole();
  variation.left = 1;
  variation.width = 1;
  EXPECT_THAT(vary(variation), ElementsAre(2, 2, 2, 5, 5, 5));
}

// The window is 2 3 and 5 6. Pixel i of three lies at (i + 0.5) * 2 / 3 - 0.5: -1/6, 1/2, 7/6.
TEST(Augmentation, ACropIsScaledBilinearly) {
  auto variation = whole();
  variation.left = 1;
  variation.width = 2;
  EXPECT_THAT(vary(variation), ElementsAre(2, FloatEq(2.5F), 3, 5, FloatEq(5.5F), 6));
}

TEST(Augmentation, ACropAgreesWithTorchsInterpolation) {
  const Shape shape{2, 7, 9};
  std::vector<float> picture(2 * 7 * 9);
  std::iota(picture.begin(), picture.end(), 1.0F);
  Variation variation;
  variation.top = 2;
  variation.left = 1;
  variation.height = 4;
  variation.width = 5;
  std::vector<float> result(picture.size());
  vary_picture(variation, shape, picture, result);
  const auto window =
      torch::from_blob(picture.data(), {1, 2, 7, 9}).narrow(2, 2, 4).narrow(3, 1, 5);
  const auto expected =
      torch::nn::functional::interpolate(window, torch::nn::functional::InterpolateFuncOptions()
                                                     .size(std::vector<std::int64_t>{7, 9})
                                                     .mode(torch::kBilinear)
                                                     .align_corners(false));
  EXPECT_TRUE(torch::allclose(torch::from_blob(result.data(), {1, 2, 7, 9}), expected, 1e-5, 1e-5));
}

TEST(Augmentation, DrawsReachBothEndsAndStayWithin) {
  const AugmentSpec augment{true, true, 0.5, 2};
  const Shape shape{1, 8, 8};
  SeededRandom random(kSeed);
  std::set<std::int64_t> heights;
  std::set<std::int64_t> moves;
  int flipped = 0;
  constexpr int kDraws = 2000;
  for (int i = 0; i < kDraws; ++i) {
    const auto drawn = draw_variation(augment, shape, random);
    heights.insert(drawn.height);
    moves.insert(drawn.down);
    flipped += drawn.flip_horizontal ? 1 : 0;
    ASSERT_EQ(drawn.width, drawn.height) << "the ratio is kept";
    ASSERT_GE(drawn.top, 0);
    ASSERT_LE(drawn.top + drawn.height, 8);
    ASSERT_LE(drawn.left + drawn.width, 8);
  }
  EXPECT_THAT(heights, ElementsAre(4, 5, 6, 7, 8));
  EXPECT_THAT(moves, ElementsAre(-2, -1, 0, 1, 2));
  EXPECT_NEAR(flipped, kDraws / 2, 150);  // more than six deviations
}

TEST(Augmentation, NothingAskedForDrawsTheWholePicture) {
  SeededRandom random(kSeed);
  const auto drawn = draw_variation(AugmentSpec(), kShape, random);
  EXPECT_EQ(drawn.height, 2);
  EXPECT_EQ(drawn.width, 3);
  EXPECT_FALSE(drawn.flip_horizontal || drawn.flip_vertical);
  EXPECT_EQ(drawn.down, 0);
  EXPECT_EQ(drawn.right, 0);
}

TEST(Augmentation, ABatchFollowsFromTheSeedPictureByPicture) {
  const AugmentSpec augment{true, false, 0.6, 1};
  const auto batch = torch::rand({5, 3, 6, 6});
  const auto copy = batch.clone();
  const auto with = [&](std::uint64_t seed) {
    SeededRandom random(seed);
    return varied(batch, augment, random);
  };
  EXPECT_TRUE(torch::equal(with(kSeed), with(kSeed)));
  EXPECT_FALSE(torch::equal(with(kSeed), with(kSeed + 1)));
  EXPECT_TRUE(torch::equal(batch, copy)) << "the dataset itself stays as it is";
  EXPECT_FALSE(torch::equal(with(kSeed), batch));
}

}  // namespace
}  // namespace entente::agent
