// The keys of a [[datasets]] table, listed once: whoever reads or writes such a table, as TOML or
// as JSON, visits the same keys with the same bounds.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "site-agent/data/dataset_config.h"

namespace entente::agent {

enum class Need : std::uint8_t { required, optional };

// No word of a choice: the key is missing.
constexpr std::size_t kNoWord = SIZE_MAX;

// A reader or a writer of one table. A reader leaves the value as it is where an optional key is
// missing, and records a problem where a required one is.
class KeyVisitor {
 public:
  virtual ~KeyVisitor() = default;

  virtual void text(const char* key, std::string& value, Need need) = 0;
  virtual void path(const char* key, std::filesystem::path& value, Need need) = 0;
  virtual void paths(const char* key, std::map<std::string, std::filesystem::path>& value) = 0;
  virtual void words(const char* key, std::vector<std::string>& value) = 0;
  virtual void natural(const char* key, std::uint32_t& value, std::uint32_t max, Need need) = 0;
  virtual void number(const char* key, double& value) = 0;
  virtual void number(const char* key, std::optional<double>& value) = 0;
  virtual void flag(const char* key, bool& value) = 0;
  // The position of one of the words, or kNoWord.
  virtual void choice(const char* key, std::size_t& value,
                      std::span<const std::string_view> words) = 0;

  // A table within this one. A reader takes a missing one for an empty one.
  using Visit = std::function<void(KeyVisitor& table)>;
  virtual void table(const char* key, const Visit& visit) = 0;
  // Tables by name. A writer visits `known`, a reader those that it finds.
  using VisitNamed = std::function<void(const std::string& name, KeyVisitor& table)>;
  virtual void tables(const char* key, const std::vector<std::string>& known,
                      const VisitNamed& visit) = 0;

  // Says what is wrong with a value that was read. A writer takes no notice.
  virtual void problem(const char* key, std::string sentence) = 0;
};

// The keys of the dataset's source and, where that is a table, of its columns. The source says
// which kind; name, kind, classes, tags, partition and holdout are the caller's.
void visit_keys(DatasetConfig& dataset, KeyVisitor& keys);

}  // namespace entente::agent
