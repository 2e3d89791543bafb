#include "site-agent/contract/json_fields.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "common/base/quote.h"

namespace entente::agent::contract {
namespace {

using nlohmann::json;

constexpr std::size_t kWordBytesMax = 64;

const json kNull;
const json kEmptyObject = json::object();
const json kEmptyArray = json::array();

// A key that can be shown as it is.
bool is_word(std::string_view key) {
  return key.size() <= kWordBytesMax && std::all_of(key.begin(), key.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
         });
}

}  // namespace

JsonFields::JsonFields(const json& json, std::string path, Fault& fault)
    : json_(json.is_object() ? json : kEmptyObject), path_(std::move(path)), fault_(fault) {
  if (!json.is_object()) {
    fault_.set(fmt::format("{} is not an object", path_.empty() ? "the line" : path_));
  }
}

std::string JsonFields::path_of(std::string_view key) const {
  const auto shown = is_word(key) ? std::string(key) : quote(key);
  return path_.empty() ? shown : fmt::format("{}.{}", path_, shown);
}

bool JsonFields::has(const char* key) const { return json_.contains(key); }

const json& JsonFields::any(const std::string& key) {
  read_.insert(key);
  const auto found = json_.find(key);
  return found == json_.end() ? kNull : *found;
}

const json& JsonFields::required(const char* key) {
  if (!has(key)) {
    fault_.set(fmt::format("{} is missing", path_of(key)));
  }
  return any(key);
}

std::uint64_t JsonFields::natural(const char* key, std::uint64_t max) {
  const json& value = required(key);
  if (!value.is_number_unsigned() || value.get<std::uint64_t>() > max) {
    fault_.set(fmt::format("{} must be a whole number from 0 to {}", path_of(key), max));
    return 0;
  }
  return value.get<std::uint64_t>();
}

std::uint32_t JsonFields::natural32(const char* key) {
  return static_cast<std::uint32_t>(natural(key, UINT32_MAX));
}

double JsonFields::number(const char* key) {
  const json& value = required(key);
  if (!value.is_number() || !std::isfinite(value.get<double>())) {
    fault_.set(fmt::format("{} must be a number", path_of(key)));
    return 0;
  }
  return value.get<double>();
}

bool JsonFields::boolean(const char* key) {
  const json& value = required(key);
  if (!value.is_boolean()) {
    fault_.set(fmt::format("{} must be true or false", path_of(key)));
    return false;
  }
  return value.get<bool>();
}

std::string JsonFields::text(const char* key, std::size_t bytes_max) {
  const json& value = required(key);
  if (!value.is_string()) {
    fault_.set(fmt::format("{} must be a string", path_of(key)));
    return {};
  }
  const auto& text = value.get_ref<const std::string&>();
  if (text.size() > bytes_max || text.find('\0') != std::string::npos) {
    fault_.set(
        fmt::format("{} is longer than {} bytes or has a zero byte", path_of(key), bytes_max));
    return {};
  }
  return text;
}

JsonFields JsonFields::object(const char* key) { return {required(key), path_of(key), fault_}; }

const json& JsonFields::array(const char* key, std::size_t size_max) {
  const json& value = required(key);
  if (!value.is_array() || value.size() > size_max) {
    fault_.set(fmt::format("{} must be an array of at most {} elements", path_of(key), size_max));
    return kEmptyArray;
  }
  return value;
}

std::vector<double> JsonFields::numbers(const char* key, std::size_t size_max) {
  std::vector<double> numbers;
  for (const json& value : array(key, size_max)) {
    if (!value.is_number() || !std::isfinite(value.get<double>())) {
      fault_.set(fmt::format("{} must hold numbers", path_of(key)));
      return {};
    }
    numbers.push_back(value.get<double>());
  }
  return numbers;
}

std::set<std::string> JsonFields::rest() {
  std::set<std::string> keys;
  for (const auto& item : json_.items()) {
    if (read_.insert(item.key()).second) {
      keys.insert(item.key());
    }
  }
  return keys;
}

void JsonFields::finish() {
  for (const auto& item : json_.items()) {
    if (!read_.contains(item.key())) {
      fault_.set(fmt::format("{} is not known", path_of(item.key())));
    }
  }
}

}  // namespace entente::agent::contract
