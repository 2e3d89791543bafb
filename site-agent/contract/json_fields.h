// Reads the fields of a JSON object strictly: a missing key, a wrong type, a value out of range and
// a key that nobody asked for are all faults. The first fault is kept and names its key by its path
// ("model.layers[2].type"); what is read after it is a harmless default, so that a parser can be
// written straight down and look for a fault once, at its end. Never throws on any content.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace entente::agent::contract {

class Fault {
 public:
  void set(std::string sentence) {
    if (!first_) {
      first_ = std::move(sentence);
    }
  }
  [[nodiscard]] const std::optional<std::string>& first() const { return first_; }

 private:
  std::optional<std::string> first_;
};

// A JSON object or anything else in its place, which is then a fault. Refers to the JSON and to
// `fault`; both must outlive it.
class JsonFields {
 public:
  JsonFields(const nlohmann::json& json, std::string path, Fault& fault);

  [[nodiscard]] bool has(const char* key) const;
  [[nodiscard]] std::uint64_t natural(const char* key, std::uint64_t max = UINT64_MAX);
  [[nodiscard]] std::uint32_t natural32(const char* key);
  [[nodiscard]] double number(const char* key);
  [[nodiscard]] bool boolean(const char* key);
  [[nodiscard]] std::string text(const char* key, std::size_t bytes_max);
  [[nodiscard]] JsonFields object(const char* key);
  // The array under `key`, of at most `size_max` elements, or an empty one.
  [[nodiscard]] const nlohmann::json& array(const char* key, std::size_t size_max);

  // The array of finite numbers under `key`, of at most `size_max` elements, or an empty one.
  [[nodiscard]] std::vector<double> numbers(const char* key, std::size_t size_max);

  // The keys that were not read yet; they count as read from now on.
  [[nodiscard]] std::set<std::string> rest();
  // Whatever is under `key`, or null.
  [[nodiscard]] const nlohmann::json& any(const std::string& key);

  // A key that was not read is a fault.
  void finish();

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] std::string path_of(std::string_view key) const;

 private:
  const nlohmann::json& required(const char* key);

  const nlohmann::json& json_;
  std::string path_;
  Fault& fault_;
  std::set<std::string> read_;
};

}  // namespace entente::agent::contract
