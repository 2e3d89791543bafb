#include "site-agent/data/idx_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <functional>

#include "site-agent/data/holdout.h"
#include "site-agent/data/idx_file.h"

namespace entente::agent {
namespace {

constexpr std::size_t kBlockBytes = 1 << 20;

constexpr std::array<float, 256> kUnitInterval = [] {
  std::array<float, 256> table{};
  for (std::size_t byte = 0; byte < table.size(); ++byte) {
    table[byte] = static_cast<float>(byte) / 255.0F;
  }
  return table;
}();

Expected<std::vector<std::int64_t>> read_labels(const IdxFiles& files) {
  auto file = IdxFile::open(files.labels, 1, 1);
  if (!file) {
    return tl::unexpected(file.error());
  }
  std::vector<std::int64_t> labels;
  std::vector<std::uint8_t> block;
  for (std::size_t left = file->count(); left > 0; left -= block.size()) {
    block.resize(std::min(left, kBlockBytes));
    if (auto read = file->read(block); !read) {
      return tl::unexpected(read.error());
    }
    labels.insert(labels.end(), block.begin(), block.end());
  }
  if (auto finished = file->finish(); !finished) {
    return tl::unexpected(finished.error());
  }
  return labels;
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

class IdxSource final : public Source {
 public:
  IdxSource(const IdxFiles& files, std::vector<std::int64_t> labels, std::uint32_t classes,
            IdxFile images)
      : files_(files), labels_(std::move(labels)), images_(std::move(images)) {
    schema_.shape = example_shape(images_);
    schema_.classes = classes;
  }

  [[nodiscard]] std::size_t size() const override { return labels_.size(); }
  [[nodiscard]] std::span<const std::int64_t> labels() const override { return labels_; }
  [[nodiscard]] const Schema& schema() const override { return schema_; }

  [[nodiscard]] Expected<std::vector<std::uint64_t>> fingerprints() override {
    auto images = IdxFile::open(files_.images, 2, 4);
    if (!images) {
      return tl::unexpected(images.error());
    }
    std::vector<std::uint64_t> fingerprints;
    const auto read = each_example(*images, [&](std::size_t, std::span<const std::uint8_t> pixels) {
      fingerprints.push_back(fingerprint_of(std::as_bytes(pixels)));
    });
    if (!read) {
      return tl::unexpected(read.error());
    }
    return fingerprints;
  }

  // Keeps the chosen ones only: a site's part of a large file needs no more memory than the part.
  [[nodiscard]] Expected<Dataset> read(const Selection& selection) override {
    Dataset dataset{schema_, {}, {}, {}, {}};
    dataset.features.resize(selection.examples.size() * images_.example_bytes());
    float* output = dataset.features.data();
    auto next = selection.examples.begin();
    const auto read =
        each_example(images_, [&](std::size_t number, std::span<const std::uint8_t> pixels) {
          if (next != selection.examples.end() && *next == number) {
            output = std::transform(pixels.begin(), pixels.end(), output,
                                    [](std::uint8_t byte) { return kUnitInterval[byte]; });
            ++next;
          }
        });
    if (!read) {
      return tl::unexpected(read.error());
    }
    for (const auto example : selection.examples) {
      dataset.labels.push_back(labels_[example]);
    }
    return dataset;
  }

 private:
  using Take = std::function<void(std::size_t number, std::span<const std::uint8_t> pixels)>;

  // Reads the images block by block, to the end of the file.
  static Expected<void> each_example(IdxFile& images, const Take& take) {
    const std::size_t bytes = images.example_bytes();
    const std::size_t block_examples = std::max<std::size_t>(1, kBlockBytes / bytes);
    std::vector<std::uint8_t> block;
    for (std::size_t first = 0; first < images.count(); first += block_examples) {
      const std::size_t count = std::min(block_examples, images.count() - first);
      block.resize(count * bytes);
      if (auto read = images.read(block); !read) {
        return read;
      }
      for (std::size_t i = 0; i < count; ++i) {
        take(first + i, std::span(block).subspan(i * bytes, bytes));
      }
    }
    return images.finish();
  }

  IdxFiles files_;
  std::vector<std::int64_t> labels_;
  IdxFile images_;
  Schema schema_;
};

}  // namespace

// The images are opened also to describe them: their header says how they look and how many there
// are.
Expected<std::unique_ptr<Source>> open_idx(const DatasetConfig& config, Purpose) {
  const auto& files = std::get<IdxFiles>(config.source);
  auto labels = read_labels(files);
  if (!labels) {
    return tl::unexpected(labels.error());
  }
  const auto largest = std::max_element(labels->begin(), labels->end());
  const auto classes = classes_of(config, largest == labels->end() ? -1 : *largest,
                                  files.labels.filename().string());
  if (!classes) {
    return tl::unexpected(classes.error());
  }
  auto images = IdxFile::open(files.images, 2, 4);
  if (!images) {
    return tl::unexpected(images.error());
  }
  if (images->count() != labels->size()) {
    return invalid_dataset(fmt::format("{} has {} images, but {} has {} labels",
                                       files.images.filename().string(), images->count(),
                                       files.labels.filename().string(), labels->size()));
  }
  return std::make_unique<IdxSource>(files, *std::move(labels), *classes, *std::move(images));
}

}  // namespace entente::agent
