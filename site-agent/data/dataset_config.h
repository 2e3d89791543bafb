// How a site describes one dataset: one [[datasets]] table of agent.toml, which also travels to the
// trainer as JSON. A dataset has a source, one struct for each kind; what comes from tables of rows
// is turned into inputs by a TableSpec.
//
// dataset_keys.h lists the keys, docs/datasets.md explains them.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace entente::agent {

// Splits one public dataset among several sites, for trials. Site `index` of `of` gets its part;
// the same seed gives the same split.
//
//  dirichlet  each class is dealt to the sites in proportions drawn from a Dirichlet distribution
//             (Hsu et al. 2019, arXiv:1909.06335); the smaller alpha, the stronger the skew
//  shards     the examples, sorted by their class, are cut into pieces of one size, of which each
//             site gets `shards` (McMahan et al. 2017, arXiv:1602.05629, section 3)
//  iid        each site gets as many, at random
constexpr std::array<std::string_view, 3> kPartitionSchemes{"dirichlet", "shards", "iid"};
constexpr std::uint32_t kShardsMax = 1000;
struct Partition {
  std::string scheme = "dirichlet";
  double alpha = 1.0;
  std::uint32_t shards = 2;
  std::uint32_t of = 1;
  std::uint32_t index = 0;
  std::uint64_t seed = 0;
  bool operator==(const Partition&) const = default;
};

// Which examples are kept from training, to judge a model by: a share of them, chosen by a hash of
// the example, so that an example stays on its side whatever is added to the data.
struct Holdout {
  double share = 0.2;
  std::string by{};   // the table's column whose equal values stay together; empty: the whole row
  bool held = false;  // this dataset is what is held out, not what is left
  bool operator==(const Holdout&) const = default;
};

// --- sources, one for each kind ---

// Images and labels as IDX files, gzip or plain.
struct IdxFiles {
  std::filesystem::path images{};
  std::filesystem::path labels{};
  bool operator==(const IdxFiles&) const = default;
};

// Comma-separated values by RFC 4180, gzip or plain.
struct CsvFile {
  std::filesystem::path file{};
  std::string delimiter = ",";
  bool header = true;  // without one, columns are called "1", "2", ...
  bool operator==(const CsvFile&) const = default;
};

struct SqliteQuery {
  std::filesystem::path file{};
  std::string query{};
  bool operator==(const SqliteQuery&) const = default;
};

struct PostgresQuery {
  std::string connection{};  // libpq's; may hold a password and is never shown
  std::string query{};
  bool operator==(const PostgresQuery&) const = default;
};

// The columns of a table that is made of labelled lines.
constexpr const char* kLineText = "text";
constexpr const char* kLineLabel = "label";

// One text file for each class, plain or gzip; each line is an example.
struct LabelledLines {
  std::map<std::string, std::filesystem::path> files{};  // by name of the class
  bool operator==(const LabelledLines&) const = default;
};

// Which arrays of NumPy are what.
struct ArrayKeys {
  std::string inputs{};
  std::string labels{};  // of classes; or
  std::string targets{};
  std::uint32_t vocabulary = 0;  // inputs are tokens below this; 0: they are numbers
  double divide_by = 1;          // numbers, such as pixels from 0 to 255
  bool operator==(const ArrayKeys&) const = default;
};

// A file for each array, named by its path.
struct NpyFiles {
  ArrayKeys arrays{};
  bool operator==(const NpyFiles&) const = default;
};

// All arrays in one archive.
struct NpzFile {
  std::filesystem::path file{};
  ArrayKeys arrays{};
  bool operator==(const NpzFile&) const = default;
};

// A folder for each class with its pictures, PNG or JPEG.
struct ImageFolder {
  std::filesystem::path folder{};
  std::uint32_t channels = 3;  // 1: grey
  std::uint32_t height = 0;
  std::uint32_t width = 0;
  bool resize = false;  // otherwise another size is refused
  bool operator==(const ImageFolder&) const = default;
};

using SourceConfig = std::variant<IdxFiles, CsvFile, SqliteQuery, PostgresQuery, LabelledLines,
                                  NpyFiles, NpzFile, ImageFolder>;

// --- what becomes of a table's columns ---

enum class Missing : std::uint8_t { refuse, mean, median, constant };
constexpr std::array<std::string_view, 4> kMissingWords{"refuse", "mean", "median", "constant"};

// What a category becomes that is not among the column's.
enum class Unknown : std::uint8_t { refuse, zeros };
constexpr std::array<std::string_view, 2> kUnknownWords{"refuse", "zeros"};

// A column that is more than a number.
struct ColumnSpec {
  std::vector<std::string> categories{};  // one input for each, in this order
  bool find_categories = false;           // those that are in the data, in order of their bytes
  Unknown unknown = Unknown::refuse;
  std::optional<Missing> missing{};  // nothing: the table's
  double constant = 0;               // in place of a missing number
  std::optional<double> mean{};      // to standardise by, together with
  std::optional<double> deviation{};

  [[nodiscard]] bool is_categorical() const { return find_categories || !categories.empty(); }
  bool operator==(const ColumnSpec&) const = default;
};

enum class TokensBy : std::uint8_t { characters, words, bytes };
constexpr std::array<std::string_view, 3> kTokensByWords{"characters", "words", "bytes"};

// How a text becomes tokens. 0 pads; see tokeniser.h for the others.
struct TokenSpec {
  TokensBy by = TokensBy::words;
  std::uint32_t vocabulary = 0;  // 0: what `by` and `alphabet` need
  std::uint32_t length = 0;      // tokens of an example: what is longer is cut
  std::string alphabet{};        // of `characters`; empty: they are hashed
  bool operator==(const TokenSpec&) const = default;
};

// Inputs and answers of a table's rows. Either `features` or `text`, either `label` or `targets`.
struct TableSpec {
  std::vector<std::string> features{};
  std::string text{};
  std::string label{};
  std::vector<std::string> targets{};
  std::map<std::string, ColumnSpec> columns{};
  std::vector<std::string> standardise{};  // columns, or "*" for all numbers
  Missing missing = Missing::refuse;
  std::vector<std::string> missing_words{};  // beside an empty cell and NULL
  TokenSpec tokens{};
  bool operator==(const TableSpec&) const = default;
};

struct DatasetConfig {
  std::string name{};
  SourceConfig source{};
  TableSpec table{};  // where the source is a table

  std::uint32_t classes = 0;               // 0: one more than the largest label
  std::vector<std::string> class_names{};  // by label; empty, or one for each class
  std::vector<std::string> tags{};         // for jobs to choose by
  std::optional<Partition> partition{};
  std::optional<Holdout> holdout{};
  bool operator==(const DatasetConfig&) const = default;
};

}  // namespace entente::agent
