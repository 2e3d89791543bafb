#include "broker/merge/merge_task.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <iterator>
#include <string>

namespace entente::broker {
namespace {

namespace fs = std::filesystem;

const TensorLayout kLayout{
    .tensors = {{.name = "fc.weight", .shape = {2, 2}}, {.name = "fc.bias", .shape = {2}}}};

class MergeTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string folder = (fs::temp_directory_path() / "entente-merge-XXXXXX").string();
    ASSERT_NE(::mkdtemp(folder.data()), nullptr);
    folder_ = folder;
    model_ = write("model", {0, 10, 20, 30, 40, 50});
  }
  void TearDown() override { fs::remove_all(folder_); }

  fs::path write(const std::string& name, const std::vector<float>& values,
                 const TensorLayout& layout = kLayout) {
    const fs::path file = folder_ / name;
    TensorFileWriter writer(file, layout, {});
    writer.append(values);
    writer.close();
    return file;
  }

  SpooledUpdate update(const std::string& site, const std::vector<float>& values, double weight) {
    return {.site = SiteId::literal(site), .file = write(site, values), .weight = weight};
  }

  MergeRequest request(std::vector<SpooledUpdate> updates) {
    return {.strategy = "fedavg",
            .model = model_,
            .updates = std::move(updates),
            .layout = kLayout,
            .output = folder_ / "merged",
            .metadata = {{"round", "1"}}};
  }

  std::string bytes(const fs::path& file) {
    std::ifstream stream(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
  }

  fs::path folder_;
  fs::path model_;
};

TEST_F(MergeTest, WritesTheNextModel) {
  const auto result = merge(
      request({update("north", {1, 1, 1, 1, 1, 1}, 1), update("south", {5, 5, 5, 5, 5, -3}, 3)}));
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_EQ(result->weight_sum, 4);
  EXPECT_EQ(result->bytes, fs::file_size(folder_ / "merged"));
  const auto file = TensorFile::open(folder_ / "merged");
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(file->metadata(), (TensorMetadata{{"round", "1"}}));
  const auto values = file->flat(kLayout);
  ASSERT_TRUE(values);
  EXPECT_EQ(std::vector<float>(values->begin(), values->end()),
            (std::vector<float>{4, 14, 24, 34, 44, 48}));
}

TEST_F(MergeTest, GivesTheSameBytesWhateverTheOrderOfArrival) {
  std::vector<std::pair<std::string, float>> arrivals{{"east", .1F}, {"north", .7F}, {"south", 3}};
  std::string expected;
  do {
    std::vector<SpooledUpdate> updates;
    for (const auto& [site, value] : arrivals) {
      updates.push_back(update(site, std::vector<float>(6, value), value * 7));
    }
    std::ranges::sort(updates, {}, &SpooledUpdate::site);
    ASSERT_TRUE(merge(request(updates)));
    if (expected.empty()) {
      expected = bytes(folder_ / "merged");
    }
    EXPECT_EQ(bytes(folder_ / "merged"), expected);
  } while (std::ranges::next_permutation(arrivals).found);
}

TEST_F(MergeTest, SuggestsAStrategyForAMisspelledOne) {
  auto misspelled = request({update("north", {1, 1, 1, 1, 1, 1}, 1)});
  misspelled.strategy = "fedavgg";
  const auto result = merge(misspelled);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, "strategy_unknown");
  EXPECT_NE(result.error().message.find("fedavg"), std::string::npos);
}

TEST_F(MergeTest, RefusesAnEmptyCohort) {
  EXPECT_EQ(merge(request({})).error().code, "no_updates");
}

TEST_F(MergeTest, RefusesWeightsThatAreNoWeights) {
  for (const double weight : {0.0, -1.0, double{INFINITY}, double{NAN}}) {
    const auto result = merge(request({update("north", {1, 1, 1, 1, 1, 1}, weight)}));
    ASSERT_FALSE(result) << weight;
    EXPECT_EQ(result.error().code, "weight_invalid");
  }
}

TEST_F(MergeTest, NamesTheSiteOfABadUpdateAndLeavesNoOutput) {
  auto bad = request({update("north", {1, 1, 1, 1, 1, 1}, 1)});
  const TensorLayout other{.tensors = {{.name = "fc.weight", .shape = {6}}}};
  write("north", {1, 1, 1, 1, 1, 1}, other);
  const auto mismatch = merge(bad);
  ASSERT_FALSE(mismatch);
  EXPECT_EQ(mismatch.error().code, "layout_mismatch");
  EXPECT_EQ(mismatch.error().scope, Scope::site);
  EXPECT_NE(mismatch.error().message.find("site north"), std::string::npos);

  fs::resize_file(folder_ / "north", fs::file_size(folder_ / "north") - 1);
  EXPECT_EQ(merge(bad).error().code, "tensors_invalid");
  fs::remove(folder_ / "north");
  EXPECT_EQ(merge(bad).error().code, "tensors_invalid");
  EXPECT_FALSE(fs::exists(folder_ / "merged"));
}

TEST_F(MergeTest, BlamesTheJobForABadModel) {
  auto bad = request({update("north", {1, 1, 1, 1, 1, 1}, 1)});
  fs::remove(model_);
  EXPECT_EQ(merge(bad).error().scope, Scope::job);
}

}  // namespace
}  // namespace entente::broker
