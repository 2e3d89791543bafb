#include "site-agent/data/image_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <system_error>

#include "common/base/quote.h"
#include "site-agent/data/holdout.h"
#include "site-agent/data/image_file.h"

namespace entente::agent {
namespace {

namespace fs = std::filesystem;

bool is_picture(const fs::path& file) {
  constexpr std::array<std::string_view, 3> kEndings{".png", ".jpg", ".jpeg"};
  auto ending = file.extension().string();
  std::transform(ending.begin(), ending.end(), ending.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return std::find(kEndings.begin(), kEndings.end(), ending) != kEndings.end();
}

class ImageSource final : public Source {
 public:
  explicit ImageSource(const DatasetConfig& config)
      : images_(std::get<ImageFolder>(config.source)), classes_(config.class_names) {
    schema_.shape = {images_.channels, images_.height, images_.width};
    schema_.classes = static_cast<std::uint32_t>(classes_.size());
  }

  // Finds the pictures, class by class in order of their names. Throws std::filesystem_error.
  Expected<void> find() {
    for (const auto& entry : fs::directory_iterator(images_.folder)) {
      const auto name = entry.path().filename().string();
      if (entry.is_directory() &&
          std::find(classes_.begin(), classes_.end(), name) == classes_.end()) {
        return invalid_dataset(
            fmt::format("{} has a folder {}, which is none of class_names",
                        images_.folder.filename().string(), quote(name)),
            "list all classes in class_names, the same at all sites; move other folders away");
      }
    }
    for (std::size_t label = 0; label < classes_.size(); ++label) {
      const auto folder = images_.folder / classes_[label];
      if (!fs::is_directory(folder)) {
        continue;
      }
      const auto before = files_.size();
      for (const auto& entry : fs::directory_iterator(folder)) {
        if (entry.is_regular_file() && is_picture(entry.path())) {
          files_.push_back(entry.path());
          labels_.push_back(static_cast<std::int64_t>(label));
        }
      }
      std::sort(files_.begin() + static_cast<std::ptrdiff_t>(before), files_.end());
    }
    return {};
  }

  [[nodiscard]] std::size_t size() const override { return files_.size(); }
  [[nodiscard]] std::span<const std::int64_t> labels() const override { return labels_; }
  [[nodiscard]] const Schema& schema() const override { return schema_; }

  [[nodiscard]] Expected<std::vector<std::uint64_t>> fingerprints() override {
    std::vector<std::uint64_t> fingerprints;
    for (const fs::path& file : files_) {
      Fingerprint fingerprint;
      fingerprint.add(file.parent_path().filename().string());
      fingerprint.end_piece();
      fingerprint.add(file.filename().string());
      fingerprints.push_back(fingerprint.value());
    }
    return fingerprints;
  }

  [[nodiscard]] Expected<Dataset> read(const Selection& selection) override {
    Dataset dataset{schema_, {}, {}, {}, {}};
    const std::size_t values = std::size_t{images_.channels} * images_.height * images_.width;
    dataset.features.reserve(selection.examples.size() * values);
    for (const auto example : selection.examples) {
      const auto picture = read_picture(files_[example], place_of(example), images_.channels);
      if (!picture) {
        return tl::unexpected(picture.error());
      }
      const bool fits = picture->height == images_.height && picture->width == images_.width;
      if (!fits && !images_.resize) {
        return invalid_dataset(
            fmt::format("{}: is {} x {} pixels, the dataset's pictures are {} x {}",
                        place_of(example), picture->height, picture->width, images_.height,
                        images_.width),
            "write resize = true in agent.toml, or correct height and width");
      }
      const auto sized = resized(*picture, images_.height, images_.width);
      dataset.features.insert(dataset.features.end(), sized.values.begin(), sized.values.end());
      dataset.labels.push_back(labels_[example]);
    }
    return dataset;
  }

 private:
  // "cat, picture 3": in the order of the files' names, counted from 1.
  [[nodiscard]] std::string place_of(std::size_t example) const {
    const auto first = std::lower_bound(labels_.begin(), labels_.end(), labels_[example]);
    return fmt::format("{}, picture {}", classes_[static_cast<std::size_t>(labels_[example])],
                       example - static_cast<std::size_t>(first - labels_.begin()) + 1);
  }

  ImageFolder images_;
  std::vector<std::string> classes_;
  std::vector<fs::path> files_;
  std::vector<std::int64_t> labels_;  // never falling: class by class
  Schema schema_;
};

}  // namespace

Expected<std::unique_ptr<Source>> open_images(const DatasetConfig& config, Purpose) {
  const auto& folder = std::get<ImageFolder>(config.source).folder;
  if (config.class_names.empty()) {
    return invalid_dataset(
        fmt::format("{} has folders for classes, but class_names is empty",
                    folder.filename().string()),
        "list the folders' names in class_names, in the same order at all sites");
  }
  try {
    auto source = std::make_unique<ImageSource>(config);
    if (auto found = source->find(); !found) {
      return tl::unexpected(found.error());
    }
    return source;
  } catch (const fs::filesystem_error& error) {
    return missing_file(folder, error.code().message());
  }
}

}  // namespace entente::agent
