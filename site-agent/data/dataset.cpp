#include "site-agent/data/dataset.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <limits>
#include <numeric>
#include <set>
#include <string_view>

#include "common/base/limits.h"
#include "common/base/quote.h"
#include "site-agent/data/holdout.h"
#include "site-agent/data/source.h"
#include "site-agent/data/source_kinds.h"

namespace entente::agent {
namespace {

using Indices = std::vector<std::uint32_t>;

Expected<Indices> part_of(const DatasetConfig& config, const Source& source,
                          std::uint32_t classes) {
  if (config.partition) {
    return source.labels().empty() ? partition_indices(source.size(), *config.partition)
                                   : partition_indices(source.labels(), classes, *config.partition);
  }
  Indices all(source.size());
  std::iota(all.begin(), all.end(), 0U);
  return all;
}

// An advert takes so many names, each short and none twice ("a=b" of one column and "a" with a
// category "b" of another are the same). Other datasets are described by their shape alone.
bool names_can_be_told(const std::vector<std::string>& names) {
  constexpr std::size_t kBytesMax = 255;
  const std::set<std::string_view> different(names.begin(), names.end());
  return names.size() <= limits::kFeatureNamesMax && different.size() == names.size() &&
         std::all_of(names.begin(), names.end(), [](const std::string& name) {
           return !name.empty() && name.size() <= kBytesMax;
         });
}

}  // namespace

Expected<Selection> select_examples(const DatasetConfig& config, Source& source) {
  if (source.size() > std::numeric_limits<std::uint32_t>::max()) {
    return invalid_dataset(fmt::format("dataset {} has {} examples, at most {} can be used",
                                       quote(config.name), source.size(),
                                       std::numeric_limits<std::uint32_t>::max()));
  }
  const auto labels = source.labels();
  const auto largest = labels.empty() ? 0 : *std::max_element(labels.begin(), labels.end());
  auto part = part_of(config, source, static_cast<std::uint32_t>(largest + 1));
  if (!part) {
    return tl::unexpected(part.error());
  }
  Selection selection;
  if (!config.holdout) {
    selection.fitted_on = *part;
    selection.examples = *std::move(part);
    return selection;
  }
  const auto fingerprints = source.fingerprints();
  if (!fingerprints) {
    return tl::unexpected(fingerprints.error());
  }
  Indices held;
  for (const auto example : *part) {
    auto& side =
        is_held_out((*fingerprints)[example], config.holdout->share) ? held : selection.fitted_on;
    side.push_back(example);
  }
  selection.examples = config.holdout->held ? std::move(held) : selection.fitted_on;
  if (selection.examples.empty() && !part->empty()) {
    return invalid_dataset(
        fmt::format("dataset {}: a holdout of {} leaves none of {} examples for {}",
                    quote(config.name), config.holdout->share, part->size(),
                    config.holdout->held ? "judging" : "training"),
        "choose another share, or a column for holdout_by with more different values");
  }
  return selection;
}

std::vector<std::uint64_t> Dataset::class_counts() const {
  std::vector<std::uint64_t> counts(classes);
  for (const auto label : labels) {
    ++counts[static_cast<std::size_t>(label)];
  }
  return counts;
}

Expected<Dataset> load_dataset(const DatasetConfig& config) {
  auto source = open_source(config, Purpose::load);
  if (!source) {
    return tl::unexpected(source.error());
  }
  const auto selection = select_examples(config, **source);
  if (!selection) {
    return tl::unexpected(selection.error());
  }
  return (*source)->read(*selection);
}

Expected<DatasetAdvert> describe_dataset(const DatasetConfig& config) {
  auto source = open_source(config, Purpose::describe);
  if (!source) {
    return tl::unexpected(source.error());
  }
  const auto selection = select_examples(config, **source);
  if (!selection) {
    return tl::unexpected(selection.error());
  }
  const Schema& schema = (*source)->schema();
  DatasetAdvert advert;
  advert.name = config.name;
  advert.kind = kind_of(config.source);
  advert.examples = selection->examples.size();
  advert.example_shape = schema.shape;
  advert.classes = schema.classes;
  advert.class_names = config.class_names;
  advert.tags = config.tags;
  if (names_can_be_told(schema.feature_names)) {
    advert.features = schema.feature_names;
  }
  advert.targets = schema.targets;
  advert.vocabulary = schema.vocabulary;
  return advert;
}

tl::unexpected<Refusal> invalid_dataset(std::string message, std::string hint) {
  return refuse("dataset_invalid", std::move(message), std::move(hint), Scope::site);
}

tl::unexpected<Refusal> missing_file(const std::filesystem::path& path, std::string_view cause) {
  return refuse(
      "dataset_missing", fmt::format("cannot open {}: {}", path.filename().string(), cause),
      "check the path in agent.toml and that the agent's user may read the file", Scope::site);
}

Expected<std::uint32_t> classes_of(const DatasetConfig& config, std::int64_t largest,
                                   std::string_view where) {
  const auto named = static_cast<std::uint32_t>(config.class_names.size());
  const auto declared = config.classes != 0 ? config.classes : named;
  if (declared != 0 && largest >= declared) {
    return invalid_dataset(fmt::format("{}: label {} is out of range, the dataset has {} classes",
                                       where, largest, declared),
                           "correct the dataset's classes in agent.toml or leave the key out");
  }
  return declared != 0 ? declared : static_cast<std::uint32_t>(largest + 1);
}

}  // namespace entente::agent
