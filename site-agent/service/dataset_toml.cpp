#include "site-agent/service/dataset_toml.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <set>

#include "common/base/ids.h"
#include "common/base/limits.h"
#include "common/base/nearest.h"
#include "common/base/quote.h"
#include "site-agent/data/dataset_keys.h"
#include "site-agent/data/source_kinds.h"

namespace entente::agent {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kClassesMax = 1'000'000;
constexpr std::int64_t kPartsMax = 10'000;

class TomlKeyReader final : public KeyVisitor {
 public:
  TomlKeyReader(TomlReader table, fs::path base)
      : toml_(std::move(table)), base_(std::move(base)) {}

  void text(const char* key, std::string& value, Need need) override {
    value = need == Need::required ? toml_.string(key) : toml_.string(key, value);
    if (value.size() > limits::kQueryBytesMax || value.find('\0') != std::string::npos) {
      problem(key,
              fmt::format("{} has a NUL byte or more than {} bytes", key, limits::kQueryBytesMax));
    }
  }
  void path(const char* key, fs::path& value, Need need) override {
    std::string text;
    this->text(key, text, need);
    value = absolute_from(base_, text);
  }
  void paths(const char* key, std::map<std::string, fs::path>& value) override {
    TomlReader named = toml_.table(key);
    for (const std::string& name : named.keys()) {
      value[name] = absolute_from(base_, named.string(name));
    }
  }
  void words(const char* key, std::vector<std::string>& value) override {
    value = toml_.strings(key);
    std::set<std::string_view> seen;
    for (const std::string& word : value) {
      if (!is_short_text(word)) {
        problem(key, fmt::format("{} has {}, which is empty, longer than 255 bytes or has control "
                                 "characters",
                                 key, quote(word)));
      } else if (!seen.insert(word).second) {
        problem(key, fmt::format("{} names {} twice", key, quote(word)));
      }
    }
  }
  void natural(const char* key, std::uint32_t& value, std::uint32_t max, Need need) override {
    value = static_cast<std::uint32_t>(need == Need::required ? toml_.integer(key, 1, max)
                                                              : toml_.integer(key, 0, max, value));
  }
  void number(const char* key, double& value) override { value = toml_.number(key, value); }
  void number(const char* key, std::optional<double>& value) override {
    if (toml_.has(key)) {
      value = toml_.number(key);
    }
  }
  void flag(const char* key, bool& value) override { value = toml_.boolean(key, value); }
  void choice(const char* key, std::size_t& value,
              std::span<const std::string_view> words) override {
    if (!toml_.has(key)) {
      return;
    }
    const std::string word = toml_.string(key);
    const auto found = std::find(words.begin(), words.end(), word);
    if (found == words.end()) {
      problem(key, fmt::format("{} is {}, which is unknown{}", key, quote(word),
                               suggestion(word, {words.begin(), words.end()})));
    } else {
      value = static_cast<std::size_t>(found - words.begin());
    }
  }
  void table(const char* key, const Visit& visit) override {
    TomlKeyReader table(toml_.table(key), base_);
    visit(table);
  }
  void tables(const char* key, const std::vector<std::string>&, const VisitNamed& visit) override {
    TomlReader named = toml_.table(key);
    for (const std::string& name : named.keys()) {
      TomlKeyReader table(named.table(name), base_);
      visit(name, table);
    }
  }
  void problem(const char* key, std::string sentence) override {
    toml_.problem(key, std::move(sentence));
  }

 private:
  TomlReader toml_;
  fs::path base_;
};

// A list of words that describe, none of them twice.
std::vector<std::string> read_words(TomlReader& table, std::string_view key, std::size_t max,
                                    bool (*is_legal)(std::string_view)) {
  std::vector<std::string> words = table.strings(key);
  std::set<std::string> seen;
  for (const std::string& word : words) {
    if (!is_legal(word)) {
      table.problem(key, fmt::format("{} is not legal in {}", quote(word), key));
    } else if (!seen.insert(word).second) {
      table.problem(key, fmt::format("{} names {} twice", key, quote(word)));
    }
  }
  if (words.size() > max) {
    table.problem(key, fmt::format("{} has more than {} entries", key, max));
  }
  return words;
}

Partition read_partition(TomlReader table) {
  Partition partition;
  partition.scheme = table.string("scheme", "dirichlet");
  const std::vector<std::string> known(kPartitionSchemes.begin(), kPartitionSchemes.end());
  if (std::find(known.begin(), known.end(), partition.scheme) == known.end()) {
    table.problem("scheme", fmt::format("unknown scheme {}{}", quote(partition.scheme),
                                        suggestion(partition.scheme, known)));
  }
  partition.alpha = table.number("alpha", 1.0);
  if (!(partition.alpha > 0.0)) {
    table.problem("alpha", "alpha must be greater than 0");
  }
  partition.shards = static_cast<std::uint32_t>(table.integer("shards", 1, kShardsMax, 2));
  partition.of = static_cast<std::uint32_t>(table.integer("of", 1, kPartsMax));
  partition.index = static_cast<std::uint32_t>(table.integer("index", 0, kPartsMax - 1));
  if (partition.index >= partition.of) {
    table.problem("index", fmt::format("index is {}, but parts run from 0 to of - 1 = {}",
                                       partition.index, partition.of - 1));
  }
  partition.seed = static_cast<std::uint64_t>(
      table.integer("seed", 0, std::numeric_limits<std::int64_t>::max(), 0));
  return partition;
}

std::optional<Holdout> read_holdout(TomlReader& table, bool has_columns) {
  const std::string by = table.string("holdout_by", "");
  if (!table.has("holdout")) {
    if (!by.empty()) {
      table.problem("holdout_by", "holdout_by needs holdout, the share that is kept from training");
    }
    return std::nullopt;
  }
  Holdout holdout;
  holdout.share = table.number("holdout");
  if (!(holdout.share > 0 && holdout.share < 1)) {
    table.problem("holdout", fmt::format("holdout is {}, must be between 0 and 1", holdout.share));
  }
  if (!by.empty() && !has_columns) {
    table.problem("holdout_by", "holdout_by names a column, and this kind of data has none");
  }
  holdout.by = by;
  return holdout;
}

SourceConfig read_kind(TomlReader& table) {
  const std::string kind = table.string("kind", "idx");
  const auto source = source_of_kind(kind);
  if (!source) {
    table.problem("kind",
                  fmt::format("unknown kind {}{}", quote(kind), suggestion(kind, source_kinds())));
  }
  return source.value_or(SourceConfig{});
}

DatasetConfig read_dataset(TomlReader& table, const fs::path& base) {
  DatasetConfig dataset;
  dataset.name = table.string("name");
  if (!dataset.name.empty() && !is_name(dataset.name)) {
    table.problem("name",
                  fmt::format("{} is no legal name: up to 63 of a-z, 0-9, '.' and '-', with "
                              "a letter or digit at both ends",
                              quote(dataset.name)));
  }
  dataset.source = read_kind(table);
  TomlKeyReader keys(table, base);
  visit_keys(dataset, keys);
  dataset.classes = static_cast<std::uint32_t>(table.integer("classes", 0, kClassesMax, 0));
  dataset.class_names = read_words(table, "class_names", limits::kClassNamesMax, is_short_text);
  if (dataset.classes != 0 && !dataset.class_names.empty() &&
      dataset.class_names.size() != dataset.classes) {
    table.problem("class_names", fmt::format("class_names has {} entries for {} classes",
                                             dataset.class_names.size(), dataset.classes));
  }
  dataset.tags = read_words(table, "tags", limits::kTagsPerDatasetMax, is_name);
  if (table.has("partition")) {
    dataset.partition = read_partition(table.table("partition"));
  }
  dataset.holdout = read_holdout(table, is_table(dataset.source));
  return dataset;
}

DatasetConfig held_out_of(DatasetConfig dataset) {
  dataset.name += "-holdout";
  dataset.holdout->held = true;
  return dataset;
}

}  // namespace

bool is_short_text(std::string_view text) {
  constexpr std::size_t kBytesMax = 255;
  return !text.empty() && text.size() <= kBytesMax &&
         std::none_of(text.begin(), text.end(),
                      [](unsigned char c) { return c < 0x20 || c == 0x7f; });
}

fs::path absolute_from(const fs::path& base, const std::string& path) {
  return path.empty() ? fs::path() : (base / path).lexically_normal();
}

std::vector<DatasetConfig> read_datasets(TomlReader& root, const fs::path& base) {
  std::vector<DatasetConfig> datasets;
  std::set<std::string> names;
  const auto add = [&](TomlReader& table, DatasetConfig dataset) {
    if (!names.insert(dataset.name).second) {
      table.problem("name", fmt::format("there are two datasets {}", quote(dataset.name)));
    }
    datasets.push_back(std::move(dataset));
  };
  for (TomlReader& table : root.tables("datasets")) {
    DatasetConfig dataset = read_dataset(table, base);
    const bool has_holdout = dataset.holdout.has_value();
    add(table, dataset);
    if (has_holdout) {
      add(table, held_out_of(std::move(dataset)));
    }
  }
  if (datasets.size() > limits::kDatasetsPerSiteMax) {
    root.problem("datasets", fmt::format("at most {} datasets", limits::kDatasetsPerSiteMax));
  }
  return datasets;
}

}  // namespace entente::agent
