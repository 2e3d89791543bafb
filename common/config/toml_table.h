// Strict reading of TOML: a key that nobody asked for is an error, with its line and the nearest
// key that would have been right.
//
// A Reader collects problems instead of stopping at the first. Use: ask for every key, then
// `finish`.
//
//   auto file = TomlFile::parse_file("agent.toml");
//   TomlReader root = file->root();
//   auto kit = root.string("kit");
//   TomlReader policy = root.table("policy");
//   ...
//   if (auto problems = file->problems()) return *problems;
//
// Refusals have the code "config_invalid" and messages of the form
// `agent.toml:12: unknown key "polcy" in [site]; did you mean "policy"?`.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/nearest.h"
#include "common/base/refusal.h"
#include "common/base/time.h"
#include "common/domain/model_spec.h"

namespace entente {

class TomlFile;

// One table of a file. Every getter marks its key as known. A missing required key or a wrong type
// is recorded as a problem and a default value returned, so that reading goes on.
class TomlReader {
 public:
  [[nodiscard]] bool has(std::string_view key);
  [[nodiscard]] bool has_table(std::string_view key);  // of a key that may also be something else

  [[nodiscard]] std::string string(std::string_view key);  // required
  [[nodiscard]] std::string string(std::string_view key, std::string fallback);
  [[nodiscard]] std::int64_t integer(std::string_view key, std::int64_t min, std::int64_t max);
  [[nodiscard]] std::int64_t integer(std::string_view key, std::int64_t min, std::int64_t max,
                                     std::int64_t fallback);
  [[nodiscard]] double number(std::string_view key);
  [[nodiscard]] double number(std::string_view key, double fallback);
  [[nodiscard]] bool boolean(std::string_view key, bool fallback);
  // "500ms", "90s", "5m", "2h", "1d" or an integer of seconds.
  [[nodiscard]] Millis duration(std::string_view key, Millis fallback);
  // "500MB", "16GB", "2GiB".
  [[nodiscard]] std::uint64_t bytes(std::string_view key, std::uint64_t max,
                                    std::uint64_t fallback);
  [[nodiscard]] std::vector<std::string> strings(std::string_view key);    // missing: empty
  [[nodiscard]] std::vector<std::int64_t> integers(std::string_view key);  // missing: empty
  [[nodiscard]] std::vector<double> numbers(std::string_view key);         // missing: empty

  // A missing table reads like an empty one: its required keys are then reported missing.
  [[nodiscard]] TomlReader table(std::string_view key);
  // [[key]]: one reader per element; missing: none.
  [[nodiscard]] std::vector<TomlReader> tables(std::string_view key);
  // The keys of this table, whether another getter asked for them or not; it makes none known.
  [[nodiscard]] std::vector<std::string> keys() const;
  // Those of `keys` that this table has, as generic attributes.
  [[nodiscard]] std::map<std::string, Attribute> attributes(const std::vector<std::string>& keys);
  // All keys of this table that no other getter asked for, as generic attributes (layers).
  [[nodiscard]] std::map<std::string, Attribute> rest();

  // Records a problem of the caller's own about `key`, with its line. The sentence stands by
  // itself:
  // `"train.dataset names no dataset of this site"`.
  void problem(std::string_view key, std::string sentence);

 private:
  friend class TomlFile;
  struct State;
  explicit TomlReader(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;
};

class TomlFile {
 public:
  [[nodiscard]] static Expected<TomlFile> parse_file(
      const std::filesystem::path& path, const std::vector<std::string>& overrides = {});
  // `name` stands for the file in messages. Each override is "path.to.key=value", the value in TOML
  // syntax (a bare word is taken as a string); a number in the path picks an element of an array,
  // from 0. Missing tables on the way are made.
  [[nodiscard]] static Expected<TomlFile> parse(std::string_view text, std::string name,
                                                const std::vector<std::string>& overrides = {});

  [[nodiscard]] TomlReader root();
  // Unknown keys of every table that was opened, and every problem recorded: one refusal, a line
  // each. Nothing when all is well.
  [[nodiscard]] std::optional<Refusal> problems();

 private:
  friend class TomlReader;
  struct Document;
  explicit TomlFile(std::shared_ptr<Document> document);
  std::shared_ptr<Document> document_;
};

}  // namespace entente
