#include "site-agent/data/dataset.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <numeric>

#include "site-agent/data/idx_file.h"

namespace entente::agent {
namespace {

constexpr std::size_t kBlockBytes = 1 << 20;
// Labels are bytes.
constexpr std::uint32_t kClassesMax = 256;

struct Labels {
  std::vector<std::int64_t> values;  // of the whole file
  std::uint32_t classes = 0;
};

tl::unexpected<Refusal> invalid(std::string message, std::string hint = {}) {
  return refuse("dataset_invalid", std::move(message), std::move(hint), Scope::site);
}

Expected<Labels> read_labels(const DatasetConfig& config) {
  auto file = IdxFile::open(config.labels, 1, 1);
  if (!file) {
    return tl::unexpected(file.error());
  }
  Labels labels;
  std::vector<std::uint8_t> block;
  for (std::size_t left = file->count(); left > 0; left -= block.size()) {
    block.resize(std::min(left, kBlockBytes));
    if (auto read = file->read(block); !read) {
      return tl::unexpected(read.error());
    }
    labels.values.insert(labels.values.end(), block.begin(), block.end());
  }
  if (auto finished = file->finish(); !finished) {
    return tl::unexpected(finished.error());
  }
  const auto largest = std::max_element(labels.values.begin(), labels.values.end());
  const auto needed = largest == labels.values.end() ? 0 : static_cast<std::uint32_t>(*largest) + 1;
  const auto named = static_cast<std::uint32_t>(config.class_names.size());
  labels.classes = config.classes != 0 ? config.classes : named != 0 ? named : needed;
  if (needed > labels.classes) {
    return invalid(fmt::format("{}: label {} is out of range, the dataset has {} classes",
                               config.labels.filename().string(), *largest, labels.classes),
                   "correct the dataset's classes in agent.toml or leave the key out");
  }
  return labels;
}

// Opens the images and checks what can be known from headers: they are as many as the labels.
Expected<IdxFile> open_images(const DatasetConfig& config, const Labels& labels) {
  auto images = IdxFile::open(config.images, 2, 4);
  if (images && images->count() != labels.values.size()) {
    return invalid(fmt::format("{} has {} images, but {} has {} labels",
                               config.images.filename().string(), images->count(),
                               config.labels.filename().string(), labels.values.size()));
  }
  return images;
}

// {count, features} -> {features}; {count, height, width} -> one channel; a channel dimension
// stays.
Shape example_shape(const IdxFile& images) {
  const auto dimensions = images.example();
  Shape shape(dimensions.begin(), dimensions.end());
  if (shape.size() == 2) {
    shape.insert(shape.begin(), 1);
  }
  return shape;
}

Expected<std::vector<std::uint32_t>> chosen_examples(const DatasetConfig& config,
                                                     const Labels& labels) {
  if (config.partition) {
    return partition_indices(labels.values, labels.classes, *config.partition);
  }
  std::vector<std::uint32_t> all(labels.values.size());
  std::iota(all.begin(), all.end(), 0U);
  return all;
}

constexpr std::array<float, 256> kUnitInterval = [] {
  std::array<float, 256> table{};
  for (std::size_t byte = 0; byte < table.size(); ++byte) {
    table[byte] = static_cast<float>(byte) / 255.0F;
  }
  return table;
}();

// Reads the images block by block and keeps the chosen ones: a site's part of a large file needs no
// more memory than the part.
Expected<std::vector<float>> read_features(IdxFile& images, std::span<const std::uint32_t> chosen) {
  const std::size_t example_bytes = images.example_bytes();
  const std::size_t block_examples = std::max<std::size_t>(1, kBlockBytes / example_bytes);
  std::vector<std::uint8_t> block;
  std::vector<float> features(chosen.size() * example_bytes);
  auto next = chosen.begin();
  float* output = features.data();
  for (std::size_t first = 0; first < images.count(); first += block_examples) {
    const std::size_t count = std::min(block_examples, images.count() - first);
    block.resize(count * example_bytes);
    if (auto read = images.read(block); !read) {
      return tl::unexpected(read.error());
    }
    for (; next != chosen.end() && *next < first + count; ++next) {
      const auto* const example = block.data() + (*next - first) * example_bytes;
      output = std::transform(example, example + example_bytes, output,
                              [](std::uint8_t byte) { return kUnitInterval[byte]; });
    }
  }
  if (auto finished = images.finish(); !finished) {
    return tl::unexpected(finished.error());
  }
  return features;
}

Expected<void> check(const DatasetConfig& config) {
  if (config.kind != "idx") {
    return invalid(fmt::format("dataset \"{}\" is of kind \"{}\", known is \"idx\"", config.name,
                               config.kind));
  }
  if (config.classes > kClassesMax) {
    return invalid(fmt::format("dataset \"{}\" claims {} classes, an IDX file has at most {}",
                               config.name, config.classes, kClassesMax));
  }
  return {};
}

}  // namespace

std::vector<std::uint64_t> Dataset::class_counts() const {
  std::vector<std::uint64_t> counts(classes);
  for (const auto label : labels) {
    ++counts[static_cast<std::size_t>(label)];
  }
  return counts;
}

Expected<Dataset> load_dataset(const DatasetConfig& config) {
  if (auto checked = check(config); !checked) {
    return tl::unexpected(checked.error());
  }
  auto labels = read_labels(config);
  if (!labels) {
    return tl::unexpected(labels.error());
  }
  auto images = open_images(config, *labels);
  if (!images) {
    return tl::unexpected(images.error());
  }
  auto chosen = chosen_examples(config, *labels);
  if (!chosen) {
    return tl::unexpected(chosen.error());
  }
  auto features = read_features(*images, *chosen);
  if (!features) {
    return tl::unexpected(features.error());
  }
  Dataset dataset;
  dataset.shape = example_shape(*images);
  dataset.features = std::move(*features);
  dataset.classes = labels->classes;
  dataset.labels.reserve(chosen->size());
  for (const auto index : *chosen) {
    dataset.labels.push_back(labels->values[index]);
  }
  return dataset;
}

Expected<DatasetAdvert> describe_dataset(const DatasetConfig& config) {
  if (auto checked = check(config); !checked) {
    return tl::unexpected(checked.error());
  }
  auto labels = read_labels(config);
  if (!labels) {
    return tl::unexpected(labels.error());
  }
  auto images = open_images(config, *labels);
  if (!images) {
    return tl::unexpected(images.error());
  }
  auto chosen = chosen_examples(config, *labels);
  if (!chosen) {
    return tl::unexpected(chosen.error());
  }
  DatasetAdvert advert;
  advert.name = config.name;
  advert.kind = config.kind;
  advert.examples = chosen->size();
  advert.example_shape = example_shape(*images);
  advert.classes = labels->classes;
  advert.class_names = config.class_names;
  advert.tags = config.tags;
  return advert;
}

}  // namespace entente::agent
