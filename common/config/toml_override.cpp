#include "common/config/toml_override.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <sstream>
#include <string_view>
#include <vector>

#include "common/base/quote.h"

namespace entente {
namespace {

constexpr const char* kHint = "write it as --set key=value, for example --set sites.min=2";

bool is_bare_key(std::string_view key) {
  return !key.empty() && std::all_of(key.begin(), key.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
  });
}

std::vector<std::string> split_path(std::string_view path) {
  std::vector<std::string> parts;
  for (;;) {
    const auto dot = path.find('.');
    parts.emplace_back(path.substr(0, dot));
    if (dot == std::string_view::npos) {
      return parts;
    }
    path.remove_prefix(dot + 1);
  }
}

// The value alone in a document under the key "value". More than that one key means that the text
// carried a line break and a second assignment.
std::optional<toml::table> parse_value(std::string_view value, const std::string& source) {
  try {
    toml::table parsed = toml::parse(fmt::format("value = {}", value), source);
    if (parsed.size() == 1 && parsed.contains("value")) {
      return parsed;
    }
  } catch (const toml::parse_error&) {
    // Perhaps a bare word; the caller decides.
  }
  return std::nullopt;
}

// What looks like an attempt at quoting or a structure is not taken as a bare word.
bool is_bare_word(std::string_view value) {
  return !value.empty() &&
         std::string_view("\"'[{").find(value.front()) == std::string_view::npos &&
         std::all_of(value.begin(), value.end(), [](char c) { return c >= ' ' && c <= '~'; });
}

// The element that `part` picks, or nothing.
toml::node* element_of(toml::array& array, const std::string& part) {
  std::size_t index = 0;
  const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), index);
  return error == std::errc{} && end == part.data() + part.size() ? array.get(index) : nullptr;
}

// Steps into `part` of `node`, making a table where a table has nothing.
toml::node* step_into(toml::node& node, const std::string& part) {
  if (auto* array = node.as_array()) {
    return element_of(*array, part);
  }
  if (auto* table = node.as_table()) {
    return &table->insert(part, toml::table{}).first->second;
  }
  return nullptr;
}

}  // namespace

std::string override_source(const std::string& text) { return "--set " + text; }

Expected<void> apply_override(toml::table& root, const std::string& text) {
  const auto fail = [&](const std::string& cause) {
    return refuse("config_invalid", fmt::format("--set {}: {}", quote(text), cause), kHint);
  };
  const auto equals = text.find('=');
  if (equals == std::string::npos) {
    return fail("there is no \"=\"");
  }
  const auto path = split_path(std::string_view(text).substr(0, equals));
  if (!std::all_of(path.begin(), path.end(), is_bare_key)) {
    return fail("what is before the \"=\" is not a key");
  }
  const auto value = std::string_view(text).substr(equals + 1);
  auto parsed = parse_value(value, override_source(text));
  if (!parsed && is_bare_word(value)) {
    std::ostringstream literal;
    literal << toml::value<std::string>(std::string(value));
    parsed = parse_value(literal.str(), override_source(text));
  }
  if (!parsed) {
    return fail(value.empty() ? "there is no value" : "the value is not valid TOML");
  }

  toml::node* node = &root;
  for (std::size_t i = 0; i + 1 < path.size(); ++i) {
    node = step_into(*node, path[i]);
    if (node == nullptr) {
      return fail(fmt::format("there is no table {}", quote(path[i])));
    }
  }
  toml::table* table = node->as_table();
  if (table == nullptr) {
    return fail(fmt::format("{} is not a key of a table", quote(path.back())));
  }
  parsed->get("value")->visit(
      [&](auto& typed) { table->insert_or_assign(path.back(), std::move(typed)); });
  return {};
}

}  // namespace entente
