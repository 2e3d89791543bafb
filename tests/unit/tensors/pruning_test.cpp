#include "common/tensors/pruning.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>
#include <random>

namespace entente {
namespace {

using testing::ElementsAre;

class Pruning : public testing::Test {
 protected:
  Pruning()
      : folder_(std::filesystem::path(testing::TempDir()) /
                testing::UnitTest::GetInstance()->current_test_info()->name()) {
    std::filesystem::create_directories(folder_);
  }
  ~Pruning() override { std::filesystem::remove_all(folder_); }

  void write(const TensorLayout& layout, const std::vector<float>& values) {
    TensorFileWriter writer(folder_ / "model", layout, {{"format", "pt"}});
    writer.append(std::span<const float>(values));
    writer.close();
    layout_ = layout;
  }

  Expected<Pruned> prune(double sparsity) {
    return prune_tensors(*TensorFile::open(folder_ / "model"), sparsity, folder_ / "pruned");
  }

  std::vector<float> pruned() {
    const auto file = TensorFile::open(folder_ / "pruned");
    EXPECT_TRUE(file.has_value());
    EXPECT_EQ(file->metadata(), (TensorMetadata{{"format", "pt"}}));
    const auto flat = *file->flat(layout_);
    return {flat.begin(), flat.end()};
  }

  std::filesystem::path folder_;
  TensorLayout layout_;
};

const TensorLayout kSmall{{{"a.weight", {2, 3}}, {"a.bias", {2}}, {"b.weight", {1, 2}}}};

TEST_F(Pruning, TheSmallestWeightsOfAllLayersBecomeZero) {
  write(kSmall, {-3, 0.5, 2, -1, 4, 0.25, 0.01F, 0.02F, 5, -0.75});
  const auto counts = prune(0.5);
  ASSERT_TRUE(counts.has_value());
  EXPECT_EQ(counts->weights, 8U);
  EXPECT_EQ(counts->zeros, 4U);
  EXPECT_THAT(pruned(), ElementsAre(-3, 0, 2, 0, 4, 0, 0.01F, 0.02F, 5, 0)) << "biases stay";
}

TEST_F(Pruning, OfEqualMagnitudesTheFirstGo) {
  write(kSmall, {1, -1, 1, -1, 1, -1, 9, 9, 1, -1});
  EXPECT_EQ(prune(0.3)->zeros, 2U) << "rounded down";
  EXPECT_THAT(pruned(), ElementsAre(0, 0, 1, -1, 1, -1, 9, 9, 1, -1));
}

TEST_F(Pruning, ZeroSparsityChangesNothingAndZerosCount) {
  write(kSmall, {0, -0.0F, 1, 1, 1, 1, 9, 9, 1, -1});
  EXPECT_EQ(prune(0)->zeros, 2U);
  EXPECT_THAT(pruned(), ElementsAre(0, -0.0F, 1, 1, 1, 1, 9, 9, 1, -1));
}

TEST_F(Pruning, KeepsWhatSortingWouldKeep) {
  const TensorLayout layout{{{"w", {300, 700}}}};
  std::mt19937 random(11);
  std::normal_distribution<float> normal;
  std::vector<float> values(layout.elements());
  for (auto& value : values) {
    value = std::ldexp(normal(random), static_cast<int>(random() % 40) - 20);
  }
  write(layout, values);
  auto sorted = values;
  std::sort(sorted.begin(), sorted.end(),
            [](float a, float b) { return std::abs(a) < std::abs(b); });
  for (const double sparsity : {0.1, 0.8, 0.999}) {
    const auto count = static_cast<std::size_t>(sparsity * static_cast<double>(values.size()));
    EXPECT_EQ(prune(sparsity)->zeros, count);
    const float threshold = std::abs(sorted[count]);
    const auto got = pruned();
    for (std::size_t i = 0; i < got.size(); ++i) {
      ASSERT_EQ(got[i], std::abs(values[i]) < threshold ? 0 : values[i]) << i;
    }
  }
}

TEST_F(Pruning, RefusesWhatItCannotDo) {
  write(kSmall, std::vector<float>(10, 1));
  for (const double sparsity : {-0.1, 1.0, std::numeric_limits<double>::quiet_NaN()}) {
    EXPECT_EQ(prune(sparsity).error().code, "sparsity_invalid");
  }
  write({{{"bias", {2}}}}, {1, 2});
  EXPECT_EQ(prune(0.5).error().code, "nothing_to_prune");
}

}  // namespace
}  // namespace entente
