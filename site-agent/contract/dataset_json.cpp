#include "site-agent/contract/dataset_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "common/base/limits.h"
#include "common/base/quote.h"
#include "site-agent/data/dataset_keys.h"
#include "site-agent/data/source_kinds.h"

namespace entente::agent::contract {
namespace {

using nlohmann::json;

constexpr std::size_t kPathBytesMax = 4096;
constexpr std::size_t kWordBytesMax = 255;
// A table has so many columns, a dataset so many classes.
constexpr std::size_t kWordsMax = limits::kTableColumnsMax;

class JsonKeyWriter final : public KeyVisitor {
 public:
  explicit JsonKeyWriter(json& object) : object_(object) {}

  void text(const char* key, std::string& value, Need) override { object_[key] = value; }
  void path(const char* key, std::filesystem::path& value, Need) override {
    object_[key] = value.string();
  }
  void paths(const char* key, std::map<std::string, std::filesystem::path>& value) override {
    for (const auto& [name, path] : value) {
      object_[key][name] = path.string();
    }
  }
  void words(const char* key, std::vector<std::string>& value) override {
    if (!value.empty()) {
      object_[key] = value;
    }
  }
  void natural(const char* key, std::uint32_t& value, std::uint32_t, Need) override {
    object_[key] = value;
  }
  void number(const char* key, double& value) override { object_[key] = value; }
  void number(const char* key, std::optional<double>& value) override {
    if (value) {
      object_[key] = *value;
    }
  }
  void flag(const char* key, bool& value) override { object_[key] = value; }
  void choice(const char* key, std::size_t& value,
              std::span<const std::string_view> words) override {
    if (value != kNoWord) {
      object_[key] = words[value];
    }
  }
  void table(const char* key, const Visit& visit) override {
    JsonKeyWriter table(object_[key]);
    visit(table);
  }
  void tables(const char* key, const std::vector<std::string>& known,
              const VisitNamed& visit) override {
    for (const std::string& name : known) {
      JsonKeyWriter table(object_[key][name]);
      visit(name, table);
    }
  }
  void problem(const char*, std::string) override {}

 private:
  json& object_;
};

class JsonKeyReader final : public KeyVisitor {
 public:
  JsonKeyReader(JsonFields& fields, Fault& fault) : fields_(fields), fault_(fault) {}

  void text(const char* key, std::string& value, Need) override {
    value = fields_.text(key, limits::kQueryBytesMax);
  }
  void path(const char* key, std::filesystem::path& value, Need) override {
    value = fields_.text(key, kPathBytesMax);
  }
  void paths(const char* key, std::map<std::string, std::filesystem::path>& value) override {
    JsonFields named = fields_.object(key);
    for (const std::string& name : named.rest()) {
      value[name] = named.text(name.c_str(), kPathBytesMax);
    }
  }
  void words(const char* key, std::vector<std::string>& value) override {
    value = words_of(fields_, key, fault_);
  }
  void natural(const char* key, std::uint32_t& value, std::uint32_t max, Need) override {
    value = static_cast<std::uint32_t>(fields_.natural(key, max));
  }
  void number(const char* key, double& value) override { value = fields_.number(key); }
  void number(const char* key, std::optional<double>& value) override {
    if (fields_.has(key)) {
      value = fields_.number(key);
    }
  }
  void flag(const char* key, bool& value) override { value = fields_.boolean(key); }
  void choice(const char* key, std::size_t& value,
              std::span<const std::string_view> words) override {
    if (value == kNoWord && !fields_.has(key)) {
      return;
    }
    const std::string word = fields_.text(key, kWordBytesMax);
    const auto found = std::find(words.begin(), words.end(), word);
    if (found == words.end()) {
      fault_.set(fmt::format("{} is {}, which is unknown", fields_.path_of(key), quote(word)));
    } else {
      value = static_cast<std::size_t>(found - words.begin());
    }
  }
  void table(const char* key, const Visit& visit) override {
    JsonFields fields = fields_.object(key);
    JsonKeyReader table(fields, fault_);
    visit(table);
    fields.finish();
  }
  void tables(const char* key, const std::vector<std::string>&, const VisitNamed& visit) override {
    if (!fields_.has(key)) {
      return;
    }
    JsonFields named = fields_.object(key);
    for (const std::string& name : named.rest()) {
      JsonFields fields = named.object(name.c_str());
      JsonKeyReader table(fields, fault_);
      visit(name, table);
      fields.finish();
    }
  }
  void problem(const char*, std::string sentence) override { fault_.set(std::move(sentence)); }

  static std::vector<std::string> words_of(JsonFields& fields, const char* key, Fault& fault) {
    std::vector<std::string> words;
    if (!fields.has(key)) {
      return words;
    }
    for (const json& word : fields.array(key, kWordsMax)) {
      if (!word.is_string() || word.get_ref<const std::string&>().size() > kWordBytesMax) {
        fault.set(fmt::format("{} must hold strings of up to {} bytes", fields.path_of(key),
                              kWordBytesMax));
        return {};
      }
      words.push_back(word.get<std::string>());
    }
    return words;
  }

 private:
  JsonFields& fields_;
  Fault& fault_;
};

Partition partition_from_json(JsonFields fields) {
  Partition partition;
  partition.scheme = fields.text("scheme", kWordBytesMax);
  partition.alpha = fields.number("alpha");
  partition.shards = fields.has("shards") ? fields.natural32("shards") : partition.shards;
  partition.of = fields.natural32("of");
  partition.index = fields.natural32("index");
  partition.seed = fields.natural("seed");
  fields.finish();
  return partition;
}

Holdout holdout_from_json(JsonFields fields, Fault& fault) {
  Holdout holdout;
  holdout.share = fields.number("share");
  if (!(holdout.share > 0 && holdout.share < 1)) {
    fault.set(fmt::format("{} must be between 0 and 1", fields.path_of("share")));
  }
  holdout.by = fields.text("by", kWordBytesMax);
  holdout.held = fields.boolean("held");
  fields.finish();
  return holdout;
}

}  // namespace

json dataset_to_json(const DatasetConfig& dataset) {
  json object{
      {"name", dataset.name}, {"kind", kind_of(dataset.source)}, {"classes", dataset.classes}};
  DatasetConfig visited = dataset;
  JsonKeyWriter keys(object);
  visit_keys(visited, keys);
  if (!dataset.class_names.empty()) {
    object["class_names"] = dataset.class_names;
  }
  if (const auto& partition = dataset.partition) {
    object["partition"] = {{"scheme", partition->scheme},
                           {"alpha", partition->alpha},
                           {"of", partition->of},
                           {"index", partition->index},
                           {"seed", partition->seed}};
    if (partition->scheme == "shards") {
      object["partition"]["shards"] = partition->shards;
    }
  }
  if (const auto& holdout = dataset.holdout) {
    object["holdout"] = {{"share", holdout->share}, {"by", holdout->by}, {"held", holdout->held}};
  }
  return object;
}

DatasetConfig dataset_from_json(JsonFields fields, Fault& fault) {
  DatasetConfig dataset;
  dataset.name = fields.text("name", kWordBytesMax);
  const std::string kind = fields.text("kind", kWordBytesMax);
  const auto source = source_of_kind(kind);
  if (!source) {
    fault.set(fmt::format("{} is {}, which is unknown", fields.path_of("kind"), quote(kind)));
    return dataset;
  }
  dataset.source = *source;
  dataset.classes = fields.natural32("classes");
  dataset.class_names = JsonKeyReader::words_of(fields, "class_names", fault);
  JsonKeyReader keys(fields, fault);
  visit_keys(dataset, keys);
  if (fields.has("partition")) {
    dataset.partition = partition_from_json(fields.object("partition"));
  }
  if (fields.has("holdout")) {
    dataset.holdout = holdout_from_json(fields.object("holdout"), fault);
  }
  fields.finish();
  return dataset;
}

}  // namespace entente::agent::contract
