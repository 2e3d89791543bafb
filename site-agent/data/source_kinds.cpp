#include "site-agent/data/source_kinds.h"

#include <algorithm>
#include <array>

#include "common/base/check.h"
#include "site-agent/data/array_source.h"
#include "site-agent/data/csv_reader.h"
#include "site-agent/data/idx_source.h"
#include "site-agent/data/image_source.h"
#include "site-agent/data/lines_reader.h"
#include "site-agent/data/postgres_reader.h"
#include "site-agent/data/source.h"
#include "site-agent/data/sqlite_reader.h"
#include "site-agent/data/table_source.h"

namespace entente::agent {
namespace {

using Open = Expected<std::unique_ptr<Source>> (*)(const DatasetConfig& config, Purpose purpose);

using OpenRows = Expected<std::unique_ptr<TableReader>> (*)(const DatasetConfig& config);

struct Kind {
  std::string_view name;
  SourceConfig (*config)();
  Open open;
  OpenRows open_rows;  // of a table; otherwise nothing
};

template <class Config>
SourceConfig config_of() {
  return Config{};
}

// A source whose rows `open_rows` reads.
template <OpenRows read_rows>
Expected<std::unique_ptr<Source>> open_rows_as_source(const DatasetConfig& config,
                                                      Purpose purpose) {
  auto rows = read_rows(config);
  if (!rows) {
    return tl::unexpected(rows.error());
  }
  return open_table(config, *std::move(rows), purpose);
}

// In the order of SourceConfig.
constexpr std::array<Kind, std::variant_size_v<SourceConfig>> kKinds{
    Kind{"idx", config_of<IdxFiles>, open_idx, nullptr},
    Kind{"csv", config_of<CsvFile>, open_rows_as_source<open_csv>, open_csv},
    Kind{"sqlite", config_of<SqliteQuery>, open_rows_as_source<open_sqlite>, open_sqlite},
    Kind{"postgres", config_of<PostgresQuery>, open_rows_as_source<open_postgres>, open_postgres},
    Kind{"text", config_of<LabelledLines>, open_rows_as_source<open_lines>, open_lines},
    Kind{"npy", config_of<NpyFiles>, open_npy, nullptr},
    Kind{"npz", config_of<NpzFile>, open_npz, nullptr},
    Kind{"images", config_of<ImageFolder>, open_images, nullptr},
};

const Kind& kind(const SourceConfig& source) { return kKinds.at(source.index()); }

}  // namespace

std::vector<std::string> source_kinds() {
  std::vector<std::string> names;
  for (const Kind& one : kKinds) {
    names.emplace_back(one.name);
  }
  return names;
}

std::string_view kind_of(const SourceConfig& source) { return kind(source).name; }

std::optional<SourceConfig> source_of_kind(std::string_view name) {
  const auto* const found =
      std::find_if(kKinds.begin(), kKinds.end(), [&](const Kind& one) { return one.name == name; });
  return found == kKinds.end() ? std::nullopt : std::optional(found->config());
}

bool is_table(const SourceConfig& source) { return kind(source).open_rows != nullptr; }

Expected<std::unique_ptr<TableReader>> open_rows(const DatasetConfig& config) {
  ENTENTE_CHECK(is_table(config.source));
  return kind(config.source).open_rows(config);
}

Expected<std::unique_ptr<Source>> open_source(const DatasetConfig& config, Purpose purpose) {
  return kind(config.source).open(config, purpose);
}

}  // namespace entente::agent
