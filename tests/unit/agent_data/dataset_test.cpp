#include "site-agent/data/dataset.h"

#include <gmock/gmock.h>

#include "tests/unit/agent_data/idx_fixture.h"

namespace entente::agent {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class DatasetFiles : public IdxFolder {
 protected:
  static void expect_refused(const DatasetConfig& config, const std::string& code,
                             const std::string& words) {
    const auto loaded = load_dataset(config);
    ASSERT_FALSE(loaded.has_value());
    EXPECT_EQ(loaded.error().code, code);
    EXPECT_THAT(loaded.error().message, HasSubstr(words));
  }
};

TEST_F(DatasetFiles, LoadPlainAndGzipAlike) {
  const auto from_plain = load_dataset(config(plain("i", images()), plain("l", labels())));
  const auto from_gzip = load_dataset(config(gzip("i.gz", images()), gzip("l.gz", labels())));
  ASSERT_TRUE(from_plain.has_value()) << from_plain.error().message;
  ASSERT_TRUE(from_gzip.has_value()) << from_gzip.error().message;
  EXPECT_THAT(from_plain->shape, ElementsAre(1, 2, 3));
  EXPECT_THAT(from_plain->labels, ElementsAre(2, 0, 1, 2));
  EXPECT_EQ(from_plain->classes, 3U);
  EXPECT_THAT(from_plain->class_counts(), ElementsAre(1, 1, 2));
  ASSERT_EQ(from_plain->features.size(), 24U);
  EXPECT_EQ(from_plain->features[0], 0.0F);
  EXPECT_EQ(from_plain->features[23], 230.0F / 255.0F);
  EXPECT_EQ(from_plain->features, from_gzip->features);
  EXPECT_EQ(from_plain->labels, from_gzip->labels);
}

TEST_F(DatasetFiles, DescriptionAgreesWithWhatIsLoaded) {
  auto with_partition = config(plain("i", images()), plain("l", labels()));
  with_partition.partition = Partition{.scheme = "iid", .of = 2, .index = 1};
  for (const auto& dataset : {config(plain("i", images()), plain("l", labels())), with_partition}) {
    const auto loaded = load_dataset(dataset);
    const auto advert = describe_dataset(dataset);
    ASSERT_TRUE(loaded.has_value());
    ASSERT_TRUE(advert.has_value());
    EXPECT_EQ(advert->name, "digits");
    EXPECT_EQ(advert->kind, "idx");
    EXPECT_EQ(advert->examples, loaded->size());
    EXPECT_EQ(advert->example_shape, loaded->shape);
    EXPECT_EQ(advert->classes, loaded->classes);
  }
}

TEST_F(DatasetFiles, APartLoadsExactlyItsExamples) {
  auto dataset = config(plain("i", images()), plain("l", labels()));
  const auto all = load_dataset(dataset);
  ASSERT_TRUE(all.has_value());
  dataset.partition = Partition{.scheme = "iid", .of = 2, .index = 0, .seed = 3};
  const auto part = load_dataset(dataset);
  const auto indices = partition_indices(all->labels, all->classes, *dataset.partition);
  ASSERT_TRUE(part.has_value());
  ASSERT_TRUE(indices.has_value());
  ASSERT_EQ(part->size(), 2U);
  EXPECT_EQ(part->classes, 3U) << "classes are those of the whole dataset";
  for (std::size_t i = 0; i < part->size(); ++i) {
    const auto from = (*indices)[i];
    EXPECT_EQ(part->labels[i], all->labels[from]);
    const auto begin = all->features.begin() + from * 6;
    EXPECT_TRUE(
        std::equal(begin, begin + 6, part->features.begin() + static_cast<std::ptrdiff_t>(i) * 6));
  }
}

TEST_F(DatasetFiles, ImagesMayHaveChannelsOrBeFlat) {
  const auto flat =
      load_dataset(config(plain("i", idx({1, 4}, Bytes(4))), plain("l", idx({1}, {0}))));
  const auto colour =
      load_dataset(config(plain("i", idx({1, 3, 2, 2}, Bytes(12))), plain("l", idx({1}, {0}))));
  ASSERT_TRUE(flat.has_value());
  ASSERT_TRUE(colour.has_value());
  EXPECT_THAT(flat->shape, ElementsAre(4));
  EXPECT_THAT(colour->shape, ElementsAre(3, 2, 2));
}

TEST_F(DatasetFiles, AMissingFileIsNamed) {
  expect_refused(config(folder_ / "absent.gz", plain("l", labels())), "dataset_missing",
                 "absent.gz");
  expect_refused(config(plain("i", images()), folder_ / "gone"), "dataset_missing", "gone");
  expect_refused(config(folder_, plain("l", labels())), "dataset_missing", "folder");
}

TEST_F(DatasetFiles, ATruncatedPlainFileIsRefusedWhereverItEnds) {
  const auto whole = images();
  const auto label_file = plain("l", labels());
  for (std::size_t bytes = 0; bytes < whole.size(); ++bytes) {
    const Bytes cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(bytes));
    expect_refused(config(plain("i", cut), label_file), "dataset_invalid", "truncated");
  }
}

TEST_F(DatasetFiles, ATruncatedGzipFileIsRefusedWhereverItEnds) {
  const auto path = gzip("i.gz", images());
  const auto label_file = plain("l", labels());
  for (auto bytes = std::filesystem::file_size(path); bytes-- > 0;) {
    std::filesystem::resize_file(path, bytes);
    expect_refused(config(path, label_file), "dataset_invalid", "i.gz");
  }
}

TEST_F(DatasetFiles, GzipWithAWrongChecksumIsRefused) {
  const auto path = gzip("i.gz", images());
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(-8, std::ios::end);  // CRC-32, then the length
  file.write("\xde\xad\xbe\xef", 4);
  file.close();
  expect_refused(config(path, plain("l", labels())), "dataset_invalid", "i.gz");
}

TEST_F(DatasetFiles, BytesAfterTheLastElementAreRefused) {
  auto longer = images();
  longer.push_back(1);
  expect_refused(config(plain("i", longer), plain("l", labels())), "dataset_invalid", "goes on");
  expect_refused(config(gzip("i.gz", longer), plain("l", labels())), "dataset_invalid", "goes on");
}

TEST_F(DatasetFiles, AWrongMagicIsRefused) {
  const auto label_file = plain("l", labels());
  auto text = images();
  text[0] = 'P';
  expect_refused(config(plain("i", text), label_file), "dataset_invalid", "not an IDX file");
  auto floats = images();
  floats[2] = 0x0d;
  expect_refused(config(plain("i", floats), label_file), "dataset_invalid", "0x0d");
  expect_refused(config(plain("l", labels()), label_file), "dataset_invalid", "1 dimensions");
  expect_refused(config(plain("i", images()), plain("i", images())), "dataset_invalid",
                 "expected 1");
}

TEST_F(DatasetFiles, AForgedHeaderCannotAskForMemory) {
  const auto label_file = plain("l", labels());
  constexpr std::uint32_t kHuge = 0xffffffff;
  expect_refused(config(plain("i", idx({4, kHuge, kHuge}, Bytes(24))), label_file),
                 "dataset_invalid", "larger than");
  expect_refused(config(plain("i", idx({4, 8000, 8000}, Bytes(24))), label_file), "dataset_invalid",
                 "truncated");
  expect_refused(config(plain("i", images()), plain("huge", idx({kHuge}, Bytes(4)))),
                 "dataset_invalid", "truncated");
  expect_refused(config(plain("i", idx({4, 0, 3}, {})), label_file), "dataset_invalid", "size 0");
}

TEST_F(DatasetFiles, CountsOfImagesAndLabelsMustAgree) {
  expect_refused(config(plain("i", images()), plain("l", idx({3}, {0, 1, 2}))), "dataset_invalid",
                 "4 images");
  EXPECT_FALSE(
      describe_dataset(config(plain("i", images()), plain("l", idx({3}, {0, 1, 2})))).has_value());
}

TEST_F(DatasetFiles, ALabelOutOfTheDeclaredClassesIsRefused) {
  auto dataset = config(plain("i", images()), plain("l", labels()));
  dataset.classes = 2;
  expect_refused(dataset, "dataset_invalid", "label 2 is out of range");
  dataset.classes = 5;
  EXPECT_EQ(load_dataset(dataset)->classes, 5U);
}

}  // namespace
}  // namespace entente::agent
