#include "common/config/toml_table.h"

#include <fmt/format.h>
#include <toml++/toml.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <deque>
#include <fstream>
#include <limits>

#include "common/base/quote.h"
#include "common/config/quantity.h"
#include "common/config/toml_override.h"

namespace entente {
namespace {

// A configuration is written by hand; a larger file is the wrong file.
constexpr std::size_t kFileBytesMax = 4 << 20;

std::string_view type_name(const toml::node& node) {
  switch (node.type()) {
    case toml::node_type::none:
      return "nothing";
    case toml::node_type::table:
      return "a table";
    case toml::node_type::array:
      return node.is_array_of_tables() ? "a list of tables" : "a list";
    case toml::node_type::string:
      return "a string";
    case toml::node_type::integer:
      return "an integer";
    case toml::node_type::floating_point:
      return "a number";
    case toml::node_type::boolean:
      return "true or false";
    case toml::node_type::date:
    case toml::node_type::time:
    case toml::node_type::date_time:
      return "a date or time";
  }
  return "unknown";
}

std::string join_path(const std::string& path, std::string_view key) {
  return path.empty() ? std::string(key) : fmt::format("{}.{}", path, key);
}

Expected<std::string> read_whole(const std::filesystem::path& path) {
  const auto fail = [&](const std::string& cause) {
    return refuse("config_invalid", fmt::format("cannot read {}: {}", path.string(), cause),
                  "check the path and who may read the file");
  };
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    return fail(std::strerror(errno));
  }
  std::string text(kFileBytesMax + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (file.bad() || (file.fail() && !file.eof())) {
    return fail(errno != 0 ? std::strerror(errno) : "read error");
  }
  text.resize(static_cast<std::size_t>(file.gcount()));
  if (text.size() > kFileBytesMax) {
    return fail(fmt::format("it has more than {} bytes", kFileBytesMax));
  }
  return text;
}

}  // namespace

// One opened table. Lives in the document, so that a table opened twice is one set of known keys.
struct TomlReader::State {
  TomlFile::Document* document;
  const toml::table* table;  // null: not in the file
  std::string path;          // "train.optimizer"; empty for the root
  std::string label;         // "[train.optimizer]", "[[model.layers]]"; empty for the root
  bool quiet;                // something else stands in its place, which has been reported
  std::set<std::string, std::less<>> known;

  // Marks `key` as known.
  const toml::node* find(std::string_view key) {
    known.emplace(key);
    return table == nullptr ? nullptr : table->get(key);
  }
  // The value of `key`; reports what is neither true or false, nor a number, nor a string.
  void add_attribute(const std::string& key, const toml::node& node,
                     std::map<std::string, Attribute>& to);
  void missing(std::string_view key);
  void wrong(const toml::node& node, std::string_view key, std::string_view wanted);
  void wrong_element(const toml::node& element, std::string_view key, std::string_view wanted);
};

struct TomlFile::Document {
  // Ordered as a person reads: the file from top to bottom, then the overrides.
  struct Problem {
    std::uint32_t line;
    std::string text;
    auto operator<=>(const Problem&) const = default;
  };

  std::string name;
  toml::table root;
  std::deque<TomlReader::State> states;
  std::vector<Problem> problems;

  // Finds or makes the state of a table.
  TomlReader::State* open(const toml::table* table, std::string path, std::string label,
                          bool quiet = false) {
    for (auto& state : states) {
      if (state.table == table && state.path == path) {
        return &state;
      }
    }
    return &states.emplace_back(
        TomlReader::State{this, table, std::move(path), std::move(label), quiet, {}});
  }

  [[nodiscard]] bool is_override(const toml::node& node) const {
    return node.source().path && *node.source().path != name;
  }

  [[nodiscard]] Problem problem_at(const toml::node* node, const std::string& sentence) const {
    if (node != nullptr && is_override(*node)) {
      return {std::numeric_limits<std::uint32_t>::max(),
              fmt::format("{}: {}", *node->source().path, sentence)};
    }
    const std::uint32_t line = node == nullptr ? 0 : node->source().begin.line;
    return {line, line == 0 ? fmt::format("{}: {}", name, sentence)
                            : fmt::format("{}:{}: {}", name, line, sentence)};
  }

  void report(const toml::node* node, const std::string& sentence) {
    problems.push_back(problem_at(node, sentence));
  }

  // A table's own line helps to find what is missing in it, unless an override has made it.
  [[nodiscard]] const toml::node* header_of(const TomlReader::State& state) const {
    return state.table == &root || state.table == nullptr || is_override(*state.table)
               ? nullptr
               : state.table;
  }
};

void TomlReader::State::missing(std::string_view key) {
  if (!quiet) {
    const auto where = label.empty() ? std::string() : " in " + label;
    document->report(document->header_of(*this), fmt::format("\"{}\" is missing{}", key, where));
  }
}

void TomlReader::State::wrong(const toml::node& node, std::string_view key,
                              std::string_view wanted) {
  document->report(
      &node, fmt::format("{} must be {}, is {}", join_path(path, key), wanted, type_name(node)));
}

void TomlReader::State::wrong_element(const toml::node& element, std::string_view key,
                                      std::string_view wanted) {
  document->report(&element, fmt::format("{} must be {}, contains {}", join_path(path, key), wanted,
                                         type_name(element)));
}

TomlReader::TomlReader(std::shared_ptr<State> state) : state_(std::move(state)) {}

bool TomlReader::has(std::string_view key) { return state_->find(key) != nullptr; }

bool TomlReader::has_table(std::string_view key) {
  const toml::node* node = state_->find(key);
  return node != nullptr && node->is_table();
}

std::string TomlReader::string(std::string_view key) {
  if (state_->find(key) == nullptr) {
    state_->missing(key);
  }
  return string(key, {});
}

std::string TomlReader::string(std::string_view key, std::string fallback) {
  const toml::node* node = state_->find(key);
  if (node == nullptr) {
    return fallback;
  }
  if (const auto* text = node->as_string()) {
    return text->get();
  }
  state_->wrong(*node, key, "a string");
  return fallback;
}

std::int64_t TomlReader::integer(std::string_view key, std::int64_t min, std::int64_t max) {
  if (state_->find(key) == nullptr) {
    state_->missing(key);
  }
  return integer(key, min, max, min);
}

std::int64_t TomlReader::integer(std::string_view key, std::int64_t min, std::int64_t max,
                                 std::int64_t fallback) {
  const toml::node* node = state_->find(key);
  if (node == nullptr) {
    return fallback;
  }
  const auto* value = node->as_integer();
  if (value == nullptr) {
    state_->wrong(*node, key, "an integer");
    return fallback;
  }
  if (value->get() < min || value->get() > max) {
    state_->document->report(
        node, fmt::format("{} is {}, must be from {} to {}", join_path(state_->path, key),
                          value->get(), min, max));
    return fallback;
  }
  return value->get();
}

double TomlReader::number(std::string_view key) {
  if (state_->find(key) == nullptr) {
    state_->missing(key);
  }
  return number(key, 0.0);
}

double TomlReader::number(std::string_view key, double fallback) {
  const toml::node* node = state_->find(key);
  if (node == nullptr) {
    return fallback;
  }
  const auto value = node->is_number() ? node->value<double>() : std::nullopt;
  if (!value) {
    state_->wrong(*node, key, "a number");
    return fallback;
  }
  if (!std::isfinite(*value)) {
    state_->document->report(
        node, fmt::format("{} is {}, must be finite", join_path(state_->path, key), *value));
    return fallback;
  }
  return *value;
}

bool TomlReader::boolean(std::string_view key, bool fallback) {
  const toml::node* node = state_->find(key);
  if (node == nullptr) {
    return fallback;
  }
  if (const auto* value = node->as_boolean()) {
    return value->get();
  }
  state_->wrong(*node, key, "true or false");
  return fallback;
}

Millis TomlReader::duration(std::string_view key, Millis fallback) {
  const toml::node* node = state_->find(key);
  if (node == nullptr) {
    return fallback;
  }
  std::optional<Millis> value;
  std::string shown;
  if (const auto* seconds = node->as_integer()) {
    shown = fmt::format("{}", seconds->get());
    value = parse_duration(shown + "s");
  } else if (const auto* text = node->as_string()) {
    shown = quote(text->get());
    value = parse_duration(text->get());
  } else {
    state_->wrong(*node, key, "a duration such as \"90s\" or \"5m\"");
    return fallback;
  }
  if (!value) {
    state_->document->report(
        node, fmt::format("{} is {}, must be a duration such as \"90s\", \"5m\", \"2h\" or \"1d\"",
                          join_path(state_->path, key), shown));
  }
  return value.value_or(fallback);
}

std::uint64_t TomlReader::bytes(std::string_view key, std::uint64_t max, std::uint64_t fallback) {
  const toml::node* node = state_->find(key);
  if (node == nullptr) {
    return fallback;
  }
  const auto* text = node->as_string();
  const auto value = text == nullptr ? std::nullopt : parse_bytes(text->get());
  if (!value) {
    const auto shown = text == nullptr ? std::string(type_name(*node)) : quote(text->get());
    state_->document->report(
        node, fmt::format("{} is {}, must be a size such as \"500MB\", \"16GB\" or \"2GiB\"",
                          join_path(state_->path, key), shown));
    return fallback;
  }
  if (*value > max) {
    state_->document->report(
        node, fmt::format("{} is {}, must be at most {} bytes", join_path(state_->path, key),
                          quote(text->get()), max));
    return fallback;
  }
  return *value;
}

std::vector<std::string> TomlReader::strings(std::string_view key) {
  std::vector<std::string> values;
  const toml::node* node = state_->find(key);
  if (node == nullptr) {
    return values;
  }
  const auto* array = node->as_array();
  if (array == nullptr) {
    state_->wrong(*node, key, "a list of strings");
    return values;
  }
  for (const auto& element : *array) {
    if (const auto* text = element.as_string()) {
      values.push_back(text->get());
    } else {
      state_->wrong_element(element, key, "a list of strings");
    }
  }
  return values;
}

std::vector<std::int64_t> TomlReader::integers(std::string_view key) {
  std::vector<std::int64_t> values;
  const toml::node* node = state_->find(key);
  if (node == nullptr) {
    return values;
  }
  const auto* array = node->as_array();
  if (array == nullptr) {
    state_->wrong(*node, key, "a list of integers");
    return values;
  }
  for (const auto& element : *array) {
    if (const auto* value = element.as_integer()) {
      values.push_back(value->get());
    } else {
      state_->wrong_element(element, key, "a list of integers");
    }
  }
  return values;
}

std::vector<double> TomlReader::numbers(std::string_view key) {
  std::vector<double> values;
  const toml::node* node = state_->find(key);
  if (node == nullptr) {
    return values;
  }
  const auto* array = node->as_array();
  if (array == nullptr) {
    state_->wrong(*node, key, "a list of numbers");
    return values;
  }
  for (const auto& element : *array) {
    if (const auto value = element.is_number() ? element.value<double>() : std::nullopt) {
      values.push_back(*value);
    } else {
      state_->wrong_element(element, key, "a list of numbers");
    }
  }
  return values;
}

TomlReader TomlReader::table(std::string_view key) {
  const toml::node* node = state_->find(key);
  const toml::table* table = node == nullptr ? nullptr : node->as_table();
  const bool stands_in = node != nullptr && table == nullptr;
  const auto path = join_path(state_->path, key);
  if (stands_in) {
    state_->wrong(*node, key, fmt::format("a table, [{}]", path));
  }
  auto* opened =
      state_->document->open(table, path, fmt::format("[{}]", path), stands_in || state_->quiet);
  return TomlReader(std::shared_ptr<State>(state_, opened));
}

std::vector<TomlReader> TomlReader::tables(std::string_view key) {
  std::vector<TomlReader> readers;
  const toml::node* node = state_->find(key);
  if (node == nullptr) {
    return readers;
  }
  const auto path = join_path(state_->path, key);
  const auto wanted = fmt::format("a list of tables, [[{}]]", path);
  const auto* array = node->as_array();
  if (array == nullptr) {
    state_->wrong(*node, key, wanted);
    return readers;
  }
  for (const auto& element : *array) {
    if (const auto* table = element.as_table()) {
      auto* opened = state_->document->open(table, path, fmt::format("[[{}]]", path));
      readers.push_back(TomlReader(std::shared_ptr<State>(state_, opened)));
    } else {
      state_->wrong_element(element, key, wanted);
    }
  }
  return readers;
}

std::vector<std::string> TomlReader::keys() const {
  std::vector<std::string> keys;
  if (state_->table != nullptr) {
    for (const auto& [key, node] : *state_->table) {
      keys.emplace_back(key.str());
    }
  }
  return keys;
}

void TomlReader::State::add_attribute(const std::string& key, const toml::node& node,
                                      std::map<std::string, Attribute>& to) {
  if (const auto* flag = node.as_boolean()) {
    to.emplace(key, flag->get());
  } else if (const auto* integer = node.as_integer()) {
    to.emplace(key, integer->get());
  } else if (const auto* number = node.as_floating_point()) {
    to.emplace(key, number->get());
  } else if (const auto* text = node.as_string()) {
    to.emplace(key, text->get());
  } else {
    wrong(node, key, "true or false, a number or a string");
  }
}

std::map<std::string, Attribute> TomlReader::attributes(const std::vector<std::string>& keys) {
  std::map<std::string, Attribute> attributes;
  for (const auto& key : keys) {
    const toml::node* node = state_->find(key);
    if (node != nullptr) {
      state_->add_attribute(key, *node, attributes);
    }
  }
  return attributes;
}

std::map<std::string, Attribute> TomlReader::rest() {
  std::map<std::string, Attribute> attributes;
  if (state_->table == nullptr) {
    return attributes;
  }
  for (const auto& [toml_key, node] : *state_->table) {
    const std::string key(toml_key.str());
    if (!state_->known.insert(key).second) {
      continue;
    }
    state_->add_attribute(key, node, attributes);
  }
  return attributes;
}

void TomlReader::problem(std::string_view key, std::string sentence) {
  const toml::node* node = state_->find(key);
  state_->document->report(node != nullptr ? node : state_->document->header_of(*state_), sentence);
}

TomlFile::TomlFile(std::shared_ptr<Document> document) : document_(std::move(document)) {}

Expected<TomlFile> TomlFile::parse_file(const std::filesystem::path& path,
                                        const std::vector<std::string>& overrides) {
  return read_whole(path).and_then(
      [&](const std::string& text) { return parse(text, path.string(), overrides); });
}

Expected<TomlFile> TomlFile::parse(std::string_view text, std::string name,
                                   const std::vector<std::string>& overrides) {
  auto document = std::make_shared<Document>();
  document->name = std::move(name);
  try {
    document->root = toml::parse(text, std::string_view(document->name));
  } catch (const toml::parse_error& error) {
    return refuse("config_invalid",
                  fmt::format("{}:{}: not valid TOML: {}", document->name,
                              error.source().begin.line, error.description()),
                  "the syntax is explained at https://toml.io");
  }
  for (const auto& override_text : overrides) {
    if (auto applied = apply_override(document->root, override_text); !applied) {
      return tl::unexpected(applied.error());
    }
  }
  return TomlFile(std::move(document));
}

TomlReader TomlFile::root() {
  auto* opened = document_->open(&document_->root, {}, {});
  return TomlReader(std::shared_ptr<TomlReader::State>(document_, opened));
}

std::optional<Refusal> TomlFile::problems() {
  auto problems = document_->problems;
  for (const auto& state : document_->states) {
    if (state.table == nullptr) {
      continue;
    }
    const std::vector<std::string> known(state.known.begin(), state.known.end());
    for (const auto& [key, node] : *state.table) {
      if (!state.known.contains(key.str())) {
        const auto where = state.label.empty() ? std::string() : " in " + state.label;
        problems.push_back(
            document_->problem_at(&node, fmt::format("unknown key {}{}{}", quote(key.str()), where,
                                                     suggestion(key.str(), known))));
      }
    }
  }
  if (problems.empty()) {
    return std::nullopt;
  }
  std::sort(problems.begin(), problems.end());
  problems.erase(std::unique(problems.begin(), problems.end()), problems.end());
  std::string message;
  for (const auto& problem : problems) {
    message += (message.empty() ? "" : "\n") + problem.text;
  }
  return Refusal{"config_invalid", std::move(message), {}, Scope::job};
}

}  // namespace entente
