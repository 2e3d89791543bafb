#include "site-agent/data/dataset_keys.h"

#include <fmt/format.h>

#include <algorithm>

#include "common/base/limits.h"
#include "common/base/quote.h"
#include "site-agent/data/source_kinds.h"

namespace entente::agent {
namespace {

// A picture with longer sides is cut into tiles before a model gets it.
constexpr std::uint32_t kSideMax = 1 << 12;

template <class Enum, std::size_t N>
void choose(KeyVisitor& keys, const char* key, Enum& value,
            const std::array<std::string_view, N>& words) {
  auto index = static_cast<std::size_t>(value);
  keys.choice(key, index, words);
  value = static_cast<Enum>(index);
}

// One overload for each kind of source.

void visit_source(IdxFiles& files, KeyVisitor& keys) {
  keys.path("images", files.images, Need::required);
  keys.path("labels", files.labels, Need::required);
}

void visit_source(CsvFile& csv, KeyVisitor& keys) {
  keys.path("file", csv.file, Need::required);
  keys.text("delimiter", csv.delimiter, Need::optional);
  const bool is_usable = csv.delimiter.size() == 1 && csv.delimiter != "\"" &&
                         csv.delimiter != "\n" && csv.delimiter != "\r";
  if (!is_usable || csv.delimiter.front() == '\0') {
    keys.problem("delimiter", "delimiter must be one character such as \",\", \";\" or \"\\t\"");
  }
  keys.flag("header", csv.header);
}

void visit_source(SqliteQuery& sqlite, KeyVisitor& keys) {
  keys.path("file", sqlite.file, Need::required);
  keys.text("query", sqlite.query, Need::required);
}

void visit_source(PostgresQuery& postgres, KeyVisitor& keys) {
  keys.text("connection", postgres.connection, Need::required);
  keys.text("query", postgres.query, Need::required);
}

void visit_source(LabelledLines& lines, KeyVisitor& keys) {
  keys.paths("files", lines.files);
  if (lines.files.empty()) {
    keys.problem("files", "files must name a file for each class: { german = \"german.txt\" }");
  }
}

void visit_arrays(ArrayKeys& arrays, KeyVisitor& keys) {
  keys.natural("vocabulary", arrays.vocabulary, limits::kVocabularyMax, Need::optional);
  keys.number("divide_by", arrays.divide_by);
  if (arrays.labels.empty() == arrays.targets.empty()) {
    keys.problem(arrays.labels.empty() ? "labels" : "targets",
                 "arrays need either labels, the classes, or targets, the numbers to predict");
  }
  if (!(arrays.divide_by > 0)) {
    keys.problem("divide_by", "divide_by must be greater than 0");
  }
}

void visit_path(const char* key, std::string& value, Need need, KeyVisitor& keys) {
  std::filesystem::path path = value;
  keys.path(key, path, need);
  value = path.string();
}

void visit_source(NpyFiles& npy, KeyVisitor& keys) {
  visit_path("inputs", npy.arrays.inputs, Need::required, keys);
  visit_path("labels", npy.arrays.labels, Need::optional, keys);
  visit_path("targets", npy.arrays.targets, Need::optional, keys);
  visit_arrays(npy.arrays, keys);
}

void visit_source(NpzFile& npz, KeyVisitor& keys) {
  keys.path("file", npz.file, Need::required);
  keys.text("inputs", npz.arrays.inputs, Need::required);
  keys.text("labels", npz.arrays.labels, Need::optional);
  keys.text("targets", npz.arrays.targets, Need::optional);
  visit_arrays(npz.arrays, keys);
}

void visit_source(ImageFolder& images, KeyVisitor& keys) {
  keys.path("folder", images.folder, Need::required);
  keys.natural("height", images.height, kSideMax, Need::required);
  keys.natural("width", images.width, kSideMax, Need::required);
  keys.natural("channels", images.channels, 3, Need::optional);
  keys.flag("resize", images.resize);
  if (images.channels != 1 && images.channels != 3) {
    keys.problem("channels", "channels must be 3, for colour, or 1, for grey");
  }
}

void visit_tokens(TokenSpec& tokens, KeyVisitor& keys) {
  choose(keys, "by", tokens.by, kTokensByWords);
  keys.natural("length", tokens.length, limits::kTokensMax, Need::required);
  keys.natural("vocabulary", tokens.vocabulary, limits::kVocabularyMax, Need::optional);
  keys.text("alphabet", tokens.alphabet, Need::optional);
  if (!tokens.alphabet.empty() && tokens.by != TokensBy::characters) {
    keys.problem("alphabet", "an alphabet is of characters; write by = \"characters\"");
  }
  const bool is_hashed = tokens.by != TokensBy::bytes && tokens.alphabet.empty();
  if (is_hashed && tokens.vocabulary < 2) {
    keys.problem("vocabulary",
                 "vocabulary must be at least 2: the number of different tokens that "
                 "words or characters are hashed to, and 0, which pads");
  }
  if (!is_hashed && tokens.vocabulary != 0) {
    keys.problem("vocabulary", "leave vocabulary out: bytes and an alphabet have their own");
  }
}

void visit_column(const std::string& name, ColumnSpec& column, KeyVisitor& keys) {
  keys.words("categories", column.categories);
  keys.flag("find_categories", column.find_categories);
  choose(keys, "unknown", column.unknown, kUnknownWords);
  std::size_t missing = column.missing ? static_cast<std::size_t>(*column.missing) : kNoWord;
  keys.choice("missing", missing, kMissingWords);
  if (missing != kNoWord) {
    column.missing = static_cast<Missing>(missing);
  }
  keys.number("constant", column.constant);
  keys.number("mean", column.mean);
  keys.number("deviation", column.deviation);
  if (column.find_categories && !column.categories.empty()) {
    keys.problem(
        "find_categories",
        fmt::format("column {} has categories already, so none are to be found", quote(name)));
  }
  if (column.categories.size() > limits::kCategoriesMax) {
    keys.problem("categories", fmt::format("column {} has more than {} categories", quote(name),
                                           limits::kCategoriesMax));
  }
  if (column.mean.has_value() != column.deviation.has_value()) {
    keys.problem(column.mean ? "mean" : "deviation",
                 fmt::format("column {} needs both mean and deviation, or neither", quote(name)));
  }
  if (column.deviation && !(*column.deviation > 0)) {
    keys.problem("deviation",
                 fmt::format("the deviation of column {} must be greater than 0", quote(name)));
  }
}

void check_columns(const TableSpec& table, KeyVisitor& keys) {
  const auto is_feature = [&](const std::string& name) {
    return std::find(table.features.begin(), table.features.end(), name) != table.features.end();
  };
  for (const auto& [name, column] : table.columns) {
    if (!is_feature(name)) {
      keys.problem("columns",
                   fmt::format("columns describes {}, which is none of the features", quote(name)));
    }
  }
  for (const std::string& name : table.standardise) {
    const auto column = table.columns.find(name);
    if (name != "*" && !is_feature(name)) {
      keys.problem("standardise",
                   fmt::format("standardise names {}, which is none of the features", quote(name)));
    } else if (column != table.columns.end() && column->second.is_categorical()) {
      keys.problem("standardise",
                   fmt::format("standardise names {}, which has categories", quote(name)));
    }
  }
}

void check_inputs(const TableSpec& table, KeyVisitor& keys) {
  if (table.features.empty() == table.text.empty()) {
    keys.problem(table.text.empty() ? "features" : "text",
                 "a table needs either features, the columns that the model gets, or text, the "
                 "column that becomes tokens");
  }
  if (table.features.size() > limits::kTableColumnsMax) {
    keys.problem("features",
                 fmt::format("features names more than {} columns", limits::kTableColumnsMax));
  }
}

void visit_table(TableSpec& table, KeyVisitor& keys) {
  keys.words("features", table.features);
  keys.text("text", table.text, Need::optional);
  if (!table.text.empty()) {
    keys.table("tokens", [&](KeyVisitor& tokens) { visit_tokens(table.tokens, tokens); });
  }
  keys.text("label", table.label, Need::optional);
  keys.words("targets", table.targets);
  std::vector<std::string> described;
  for (const auto& [name, column] : table.columns) {
    described.push_back(name);
  }
  keys.tables("columns", described, [&](const std::string& name, KeyVisitor& column) {
    visit_column(name, table.columns[name], column);
  });
  keys.words("standardise", table.standardise);
  choose(keys, "missing", table.missing, kMissingWords);
  keys.words("missing_words", table.missing_words);
  check_inputs(table, keys);
  if (table.label.empty() == table.targets.empty()) {
    keys.problem(table.label.empty() ? "label" : "targets",
                 "a table needs either label, the column of the class, or targets, the columns of "
                 "numbers to predict");
  }
  if (table.targets.size() > limits::kTargetsMax) {
    keys.problem("targets", fmt::format("targets names more than {} columns", limits::kTargetsMax));
  }
  check_columns(table, keys);
}

}  // namespace

void visit_keys(DatasetConfig& dataset, KeyVisitor& keys) {
  std::visit([&](auto& source) { visit_source(source, keys); }, dataset.source);
  if (std::holds_alternative<LabelledLines>(dataset.source)) {
    dataset.table.text = kLineText;
    dataset.table.label = kLineLabel;
    keys.table("tokens", [&](KeyVisitor& tokens) { visit_tokens(dataset.table.tokens, tokens); });
  } else if (is_table(dataset.source)) {
    visit_table(dataset.table, keys);
  }
}

}  // namespace entente::agent
