#include "broker/merge/merge_task.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <iterator>
#include <string>

#include "common/domain/update_encodings.h"
#include "common/tensors/update_encoder.h"
#include "common/tensors/update_file.h"

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
    return {
        .site = SiteId::literal(site), .file = write(site, values), .weight = weight, .loss = 0};
  }

  MergeRequest request(std::vector<SpooledUpdate> updates) {
    return {.strategy = {},
            .model = model_,
            .state = {},
            .updates = std::move(updates),
            .local_lr = 0.1,
            .layout = kLayout,
            .update_layout = kLayout,
            .update = {},
            .output = folder_ / "merged",
            .state_output = folder_ / "state",
            .metadata = {{"round", "1"}},
            .threads = 2};
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
  EXPECT_FALSE(result->state_bytes);
  EXPECT_FALSE(fs::exists(folder_ / "state"));
  EXPECT_EQ(result->bytes, fs::file_size(folder_ / "merged"));
  const auto file = TensorFile::open(folder_ / "merged");
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(file->metadata(), (TensorMetadata{{"round", "1"}}));
  const auto values = file->flat(kLayout);
  ASSERT_TRUE(values);
  EXPECT_EQ(std::vector<float>(values->begin(), values->end()),
            (std::vector<float>{4, 14, 24, 34, 44, 48}));
}

// Nguyen et al. 2022, Algorithm 1: the mean is over the weights, not over what is left of them, so
// that a late update takes a smaller step and gives the others no larger one.
TEST_F(MergeTest, TakesALateUpdateByItsFactorAndDividesByTheWholeWeights) {
  auto late = update("north", {8, 8, 8, 8, 8, 8}, 1);
  late.factor = 0.5;
  ASSERT_TRUE(merge(request({late, update("south", {4, 4, 4, 4, 4, 4}, 3)})));
  const auto file = TensorFile::open(folder_ / "merged");
  const auto values = file->flat(kLayout);
  ASSERT_TRUE(values);
  EXPECT_EQ(std::vector<float>(values->begin(), values->end()),
            (std::vector<float>{4, 14, 24, 34, 44, 54}));
}

TEST_F(MergeTest, TakesSeveralUpdatesOfASite) {
  auto second = update("north-2", {5, 5, 5, 5, 5, -3}, 3);
  second.site = SiteId::literal("north");
  ASSERT_TRUE(merge(request({update("north", {1, 1, 1, 1, 1, 1}, 1), second})));
  const auto file = TensorFile::open(folder_ / "merged");
  const auto values = file->flat(kLayout);
  ASSERT_TRUE(values);
  EXPECT_EQ(std::vector<float>(values->begin(), values->end()),
            (std::vector<float>{4, 14, 24, 34, 44, 48}));
}

TEST_F(MergeTest, OverZerosIsTheWeightedMeanItself) {
  auto what = request(
      {update("north", {1, 1, 1, 1, 1, 0.25F}, 1), update("south", {5, 5, 5, 5, 5, 0.75F}, 3)});
  what.model.reset();
  const auto result = merge(what);
  ASSERT_TRUE(result) << result.error().message;
  const auto file = TensorFile::open(folder_ / "merged");
  ASSERT_TRUE(file) << file.error().message;
  const auto values = file->flat(kLayout);
  ASSERT_TRUE(values);
  EXPECT_EQ(std::vector<float>(values->begin(), values->end()),
            (std::vector<float>{4, 4, 4, 4, 4, 0.625F}));
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

// As if one update had been merged alone, and then another from the state that the first had left.
TEST_F(MergeTest, GoesOnFromTheStateOfTheRoundBefore) {
  auto first = request({update("north", {1, 1, 1, 1, 1, 1}, 1)});
  first.strategy.kind = "fedavgm";
  first.strategy.parameters = {{"beta1", 0.5}, {"server_lr", 1}};
  const auto merged = merge(first);
  ASSERT_TRUE(merged) << merged.error().message;
  EXPECT_EQ(merged->state_bytes, fs::file_size(folder_ / "state"));
  auto second = first;
  second.model = folder_ / "merged";
  second.state = folder_ / "state";
  second.output = folder_ / "merged-2";
  second.state_output = folder_ / "state-2";
  ASSERT_TRUE(merge(second));
  // m = 1, then 1.5: the model's 0 becomes 1, then 2.5.
  const auto file = TensorFile::open(folder_ / "merged-2");
  ASSERT_TRUE(file);
  EXPECT_EQ((*file->flat(kLayout))[0], 2.5F);
  const auto state = TensorFile::open(folder_ / "state-2");
  ASSERT_TRUE(state);
  EXPECT_EQ(state->layout().tensors[0].name, "momentum.fc.weight");
}

TEST_F(MergeTest, GivesTheSameStateAndModelForAnyNumberOfThreads) {
  const TensorLayout large{.tensors = {{.name = "w", .shape = {700'000}}}};
  const auto values = [](float step) {
    std::vector<float> all(700'000);
    for (std::size_t i = 0; i < all.size(); ++i) {
      all[i] = step * static_cast<float>(i % 1013) - 3;
    }
    return all;
  };
  auto asked = request({});
  asked.layout = asked.update_layout = large;
  asked.model = write("large", values(0.001F), large);
  asked.updates = {{SiteId::literal("a"), write("a", values(0.01F), large), 3},
                   {SiteId::literal("b"), write("b", values(0.02F), large), 7}};
  asked.strategy.kind = "fedyogi";
  asked.strategy.parameters = {{"clip_norm", 100}};
  std::string model;
  std::string state;
  for (const std::size_t threads : {1UL, 2UL, 5UL}) {
    asked.threads = threads;
    ASSERT_TRUE(merge(asked));
    if (model.empty()) {
      model = bytes(asked.output);
      state = bytes(asked.state_output);
    }
    EXPECT_TRUE(bytes(asked.output) == model) << threads;
    EXPECT_TRUE(bytes(asked.state_output) == state) << threads;
  }
}

// Tensors between others stay at the sites: the model keeps their values, whatever the rule.
TEST_F(MergeTest, KeepsTheValuesOfWhatTheSitesDoNotSend) {
  const TensorLayout model{.tensors = {{.name = "a", .shape = {3000}},
                                       {.name = "head", .shape = {200'000}},
                                       {.name = "b", .shape = {1}},
                                       {.name = "c", .shape = {5000}},
                                       {.name = "norm", .shape = {7}}}};
  TensorLayout shared = model;
  std::erase_if(shared.tensors, [](const TensorInfo& tensor) {
    return tensor.name == "head" || tensor.name == "norm";
  });
  const auto values = [](const TensorLayout& layout, float step) {
    std::vector<float> all(layout.elements());
    for (std::size_t i = 0; i < all.size(); ++i) {
      all[i] = step * static_cast<float>(i % 1013) - 1;
    }
    return all;
  };
  for (const auto* kind : {"fedavg", "fedadam", "median"}) {
    auto asked = request({});
    asked.strategy.kind = kind;
    asked.layout = shared;
    asked.update_layout = shared;
    std::vector<float> model_values = values(model, 0.5F);
    std::vector<float> shared_values;
    std::size_t start = 0;
    for (const TensorInfo& tensor : model.tensors) {
      const auto end = start + tensor.elements();
      if (tensor.name != "head" && tensor.name != "norm") {
        shared_values.insert(shared_values.end(), model_values.begin() + std::ptrdiff_t(start),
                             model_values.begin() + std::ptrdiff_t(end));
      }
      start = end;
    }
    asked.model = write("small", shared_values, shared);
    asked.updates = {{SiteId::literal("a"), write("a", values(shared, 0.01F), shared), 3, 1, 0, 1},
                     {SiteId::literal("b"), write("b", values(shared, 0.02F), shared), 7, 1, 0, 1}};
    ASSERT_TRUE(merge(asked));
    const auto expected_file = TensorFile::open(asked.output);
    const auto expected = *expected_file->flat(shared);
    asked.layout = model;
    asked.model = write("large", model_values, model);
    asked.output = folder_ / "merged-large";
    const auto merged = merge(asked);
    ASSERT_TRUE(merged) << merged.error().message;
    const auto file = TensorFile::open(asked.output);
    const auto result = *file->flat(model);
    std::size_t at = 0;
    start = 0;
    for (const TensorInfo& tensor : model.tensors) {
      const bool stays = tensor.name == "head" || tensor.name == "norm";
      for (std::size_t i = 0; i < tensor.elements(); ++i) {
        ASSERT_EQ(result[start + i], stays ? model_values[start + i] : expected[at++])
            << kind << " " << tensor.name << " " << i;
      }
      start += tensor.elements();
    }
  }
}

// By hand: two of four sites; c = 2 / 4 * (1 * 1 + 3 * 5) / 4 = 2, and twice the mean is added to
// x.
TEST_F(MergeTest, OfScaffoldMovesModelAndControlVariate) {
  TensorLayout both = kLayout;
  for (const TensorInfo& tensor : control_layout(kLayout).tensors) {
    both.tensors.push_back(tensor);
  }
  const auto values = [](float update, float control) {
    std::vector<float> all(12, control);
    std::fill_n(all.begin(), 6, update);
    return all;
  };
  auto asked = request({});
  asked.strategy.kind = "scaffold";
  asked.strategy.parameters = {{"server_lr", 2}};
  asked.places = 4;
  asked.update_layout = both;
  asked.updates = {{SiteId::literal("a"), write("a", values(1, 1), both), 1, 1, 0, 1},
                   {SiteId::literal("b"), write("b", values(2, 5), both), 3, 1, 0, 1}};
  for (const float expected : {2.0F, 4.0F}) {
    const auto result = merge(asked);
    ASSERT_TRUE(result) << result.error().message;
    EXPECT_EQ(result->state_bytes, fs::file_size(asked.state_output));
    const auto state = TensorFile::open(asked.state_output);
    ASSERT_TRUE(state);
    const auto control = state->flat(control_layout(kLayout));
    ASSERT_TRUE(control);
    EXPECT_EQ(std::vector<float>(control->begin(), control->end()),
              std::vector<float>(6, expected));
    asked.state = asked.state_output;
    asked.state_output = folder_ / "state-2";
  }
  const auto file = TensorFile::open(asked.output);
  EXPECT_EQ((*file->flat(kLayout))[1], 10 + 2 * 1.75F);
}

// Decoded block by block or beforehand: a rule sees the same values.
TEST_F(MergeTest, GivesForEncodedUpdatesTheModelOfTheirDecodedValues) {
  const TensorLayout large{
      .tensors = {{.name = "w", .shape = {300'001}}, {.name = "b", .shape = {33}}}};
  const auto values = [&](float step) {
    std::vector<float> all(large.elements());
    for (std::size_t i = 0; i < all.size(); ++i) {
      all[i] = step * static_cast<float>(i % 1013) - 3;
    }
    return all;
  };
  auto asked = request({});
  asked.layout = asked.update_layout = large;
  asked.model = write("large", values(0.001F), large);
  asked.strategy.parameters = {{"clip_norm", 100}};  // looks at whole updates first
  for (const auto& name : encoding_names()) {
    std::vector<SpooledUpdate> encoded;
    std::vector<SpooledUpdate> decoded;
    for (const auto* site : {"a", "b"}) {
      EncodeRequest encode;
      encode.update = write("raw", values(site[0] == 'a' ? 0.01F : 0.02F), large);
      encode.model = large;
      encode.spec.encoding = name;
      encode.output = folder_ / (std::string(site) + "-encoded");
      encode.residual_after = folder_ / "residual";
      ASSERT_TRUE(encode_update(encode));
      encoded.push_back({SiteId::literal(site), encode.output, 3});
      const auto file = UpdateFile::open(encode.output, large, encode.spec);
      ASSERT_TRUE(file) << file.error().message;
      std::vector<float> whole(file->size());
      const float* const read = file->read(0, whole);
      decoded.push_back(
          {SiteId::literal(site), write(site, {read, read + whole.size()}, large), 3});
    }
    asked.update = {};
    asked.updates = decoded;
    ASSERT_TRUE(merge(asked));
    const auto expected = bytes(asked.output);
    asked.update.encoding = name;
    asked.updates = encoded;
    for (const std::size_t threads : {1UL, 2UL, 5UL}) {
      asked.threads = threads;
      const auto merged = merge(asked);
      ASSERT_TRUE(merged) << merged.error().message;
      EXPECT_TRUE(bytes(asked.output) == expected) << name << ", " << threads << " threads";
    }
  }
}

TEST_F(MergeTest, RefusesWhatIsOutsideTheRulesGuarantee) {
  auto asked = request({update("north", {1, 1, 1, 1, 1, 1}, 1)});
  asked.strategy.kind = "krum";
  const auto result = merge(asked);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, "outside_guarantee");
  EXPECT_EQ(result.error().scope, Scope::job);
  EXPECT_FALSE(fs::exists(folder_ / "merged"));
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
