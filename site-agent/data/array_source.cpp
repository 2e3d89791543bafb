#include "site-agent/data/array_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>

#include "common/base/limits.h"
#include "site-agent/data/holdout.h"
#include "site-agent/data/npy_array.h"

namespace entente::agent {
namespace {

// Opens an array by what agent.toml calls it.
using OpenArray = std::function<Expected<NpyArray>(const std::string& what)>;

// Answers of all examples: labels, or numbers to predict.
struct Answers {
  std::vector<std::int64_t> labels;
  std::vector<float> values;
  std::uint32_t targets = 0;
  std::size_t count = 0;
};

tl::unexpected<Refusal> invalid(const NpyArray& array, std::string_view cause) {
  return invalid_dataset(fmt::format("{}: {}", array.name(), cause));
}

Expected<Answers> read_labels(NpyArray array) {
  if (!array.example_shape().empty() || !array.is_whole()) {
    return invalid(array, "labels must be whole numbers, one for each example");
  }
  Answers answers;
  answers.count = array.count();
  auto read = array.each_example(
      [&](std::size_t number, std::span<const std::byte> stored) -> Expected<void> {
        std::int64_t label = 0;
        if (!array.to_whole(stored, &label) || label < 0 || label >= kLabelsMax) {
          return invalid(
              array, fmt::format("example {} has no label from 0 to {}", number, kLabelsMax - 1));
        }
        answers.labels.push_back(label);
        return {};
      });
  return read ? Expected<Answers>(std::move(answers)) : tl::unexpected(read.error());
}

Expected<Answers> read_targets(NpyArray array) {
  if (array.example_shape().size() > 1 || array.example_elements() > limits::kTargetsMax) {
    return invalid(array, fmt::format("targets must be up to {} numbers for each example",
                                      limits::kTargetsMax));
  }
  Answers answers;
  answers.count = array.count();
  answers.targets = static_cast<std::uint32_t>(array.example_elements());
  std::vector<float> numbers(answers.targets);
  auto read = array.each_example(
      [&](std::size_t number, std::span<const std::byte> stored) -> Expected<void> {
        if (!array.to_numbers(stored, numbers.data())) {
          return invalid(array, fmt::format("example {} has a target that is not finite", number));
        }
        answers.values.insert(answers.values.end(), numbers.begin(), numbers.end());
        return {};
      });
  return read ? Expected<Answers>(std::move(answers)) : tl::unexpected(read.error());
}

class ArraySource final : public Source {
 public:
  ArraySource(const ArrayKeys& keys, OpenArray open, NpyArray inputs, Answers answers,
              std::uint32_t classes)
      : keys_(keys),
        open_(std::move(open)),
        inputs_(std::move(inputs)),
        answers_(std::move(answers)) {
    schema_.shape = inputs_.example_shape();
    schema_.classes = classes;
    schema_.targets = answers_.targets;
    schema_.vocabulary = keys.vocabulary;
  }

  [[nodiscard]] std::size_t size() const override { return answers_.count; }
  [[nodiscard]] std::span<const std::int64_t> labels() const override { return answers_.labels; }
  [[nodiscard]] const Schema& schema() const override { return schema_; }

  [[nodiscard]] Expected<std::vector<std::uint64_t>> fingerprints() override {
    auto inputs = open_(keys_.inputs);
    if (!inputs) {
      return tl::unexpected(inputs.error());
    }
    std::vector<std::uint64_t> fingerprints;
    auto read =
        inputs->each_example([&](std::size_t, std::span<const std::byte> stored) -> Expected<void> {
          fingerprints.push_back(fingerprint_of(stored));
          return {};
        });
    return read ? Expected<std::vector<std::uint64_t>>(std::move(fingerprints))
                : tl::unexpected(read.error());
  }

  [[nodiscard]] Expected<Dataset> read(const Selection& selection) override {
    Dataset dataset{schema_, {}, {}, {}, {}};
    const std::size_t elements = inputs_.example_elements();
    if (schema_.vocabulary == 0) {
      dataset.features.resize(selection.examples.size() * elements);
    } else {
      dataset.tokens.resize(selection.examples.size() * elements);
    }
    auto next = selection.examples.begin();
    std::size_t at = 0;
    auto read = inputs_.each_example(
        [&](std::size_t number, std::span<const std::byte> stored) -> Expected<void> {
          if (next == selection.examples.end() || *next != number) {
            return {};
          }
          ++next;
          const bool taken = schema_.vocabulary == 0
                                 ? take_numbers(stored, dataset.features.data() + at)
                                 : take_tokens(stored, dataset.tokens.data() + at);
          at += elements;
          return taken ? Expected<void>{} : bad_example(number);
        });
    if (!read) {
      return tl::unexpected(read.error());
    }
    for (const auto example : selection.examples) {
      if (schema_.targets == 0) {
        dataset.labels.push_back(answers_.labels[example]);
      }
      const auto first = answers_.values.begin() + std::ptrdiff_t{example} * schema_.targets;
      dataset.values.insert(dataset.values.end(), first, first + schema_.targets);
    }
    return dataset;
  }

 private:
  bool take_numbers(std::span<const std::byte> stored, float* to) const {
    if (!inputs_.to_numbers(stored, to)) {
      return false;
    }
    for (std::size_t i = 0; i < inputs_.example_elements(); ++i) {
      to[i] = static_cast<float>(to[i] / keys_.divide_by);
    }
    return true;
  }

  bool take_tokens(std::span<const std::byte> stored, std::int64_t* to) const {
    return inputs_.to_whole(stored, to) &&
           std::all_of(to, to + inputs_.example_elements(), [&](std::int64_t token) {
             return token >= 0 && token < schema_.vocabulary;
           });
  }

  [[nodiscard]] tl::unexpected<Refusal> bad_example(std::size_t number) const {
    return invalid(
        inputs_, schema_.vocabulary == 0
                     ? fmt::format("example {} has a number that is not finite", number)
                     : fmt::format("example {} has a token that is not below the vocabulary of {}",
                                   number, schema_.vocabulary));
  }

  ArrayKeys keys_;
  OpenArray open_;
  NpyArray inputs_;
  Answers answers_;
  Schema schema_;
};

Expected<std::unique_ptr<Source>> open_arrays(const DatasetConfig& config, const ArrayKeys& keys,
                                              const OpenArray& open) {
  auto inputs = open(keys.inputs);
  if (!inputs) {
    return tl::unexpected(inputs.error());
  }
  if (inputs->example_shape().empty()) {
    return invalid(*inputs, "has single numbers, an example needs at least one dimension");
  }
  if (keys.vocabulary != 0 && !inputs->is_whole()) {
    return invalid(*inputs, "has no whole numbers, which tokens are");
  }
  auto array = open(keys.labels.empty() ? keys.targets : keys.labels);
  if (!array) {
    return tl::unexpected(array.error());
  }
  const auto name = array->name();
  auto answers =
      keys.labels.empty() ? read_targets(*std::move(array)) : read_labels(*std::move(array));
  if (!answers) {
    return tl::unexpected(answers.error());
  }
  if (answers->count != inputs->count()) {
    return invalid_dataset(fmt::format("{} has {} examples, but {} has {}", inputs->name(),
                                       inputs->count(), name, answers->count));
  }
  std::uint32_t classes = 0;
  if (answers->targets == 0) {
    const auto largest = std::max_element(answers->labels.begin(), answers->labels.end());
    const auto known = classes_of(config, largest == answers->labels.end() ? -1 : *largest, name);
    if (!known) {
      return tl::unexpected(known.error());
    }
    classes = *known;
  }
  return std::make_unique<ArraySource>(keys, open, *std::move(inputs), *std::move(answers),
                                       classes);
}

Expected<NpyArray> open_array(Expected<std::unique_ptr<ByteStream>> bytes) {
  if (!bytes) {
    return tl::unexpected(bytes.error());
  }
  return NpyArray::open(*std::move(bytes));
}

}  // namespace

Expected<std::unique_ptr<Source>> open_npy(const DatasetConfig& config, Purpose) {
  const auto& files = std::get<NpyFiles>(config.source);
  return open_arrays(config, files.arrays,
                     [](const std::string& path) { return open_array(open_file(path)); });
}

Expected<std::unique_ptr<Source>> open_npz(const DatasetConfig& config, Purpose) {
  const auto& npz = std::get<NpzFile>(config.source);
  return open_arrays(config, npz.arrays, [file = npz.file](const std::string& array) {
    return open_array(open_zip_member(file, array + ".npy"));
  });
}

}  // namespace entente::agent
