#include "site-agent/data/normalise.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <string>

#include "common/base/nearest.h"
#include "common/base/quote.h"
#include "site-agent/data/dataset_statistics.h"
#include "site-agent/data/source_kinds.h"

namespace entente::agent {
namespace {

using ByColumn = std::map<std::string, const Scale*>;

// Both lists must be the same, in any order.
Expected<ByColumn> match(const DatasetConfig& config, const std::vector<std::string>& inputs,
                         const std::vector<Scale>& scales) {
  ByColumn by_column;
  for (const auto& scale : scales) {
    if (std::find(inputs.begin(), inputs.end(), scale.column) == inputs.end()) {
      return refuse(
          "data_contract_violated",
          fmt::format("dataset {} has no input {}, which train.normalise names{}",
                      quote(config.name), quote(scale.column), suggestion(scale.column, inputs)),
          "normalise by the statistics of datasets with the same columns", Scope::site);
    }
    by_column.emplace(scale.column, &scale);
  }
  for (const auto& input : inputs) {
    if (!by_column.contains(input)) {
      return refuse("data_contract_violated",
                    fmt::format("dataset {} has the input {}, which train.normalise lacks",
                                quote(config.name), quote(input)),
                    "take the column into the statistics, or give it the mean 0 and the deviation "
                    "1 in the job file",
                    Scope::site);
    }
  }
  return by_column;
}

Expected<DatasetConfig> normalised_table(DatasetConfig config, const std::vector<Scale>& scales) {
  std::vector<std::string> numbers;
  for (const auto& name : config.table.features) {
    const auto described = config.table.columns.find(name);
    if (described == config.table.columns.end() || !described->second.is_categorical()) {
      numbers.push_back(name);
    }
  }
  const auto by_column = match(config, numbers, scales);
  if (!by_column) {
    return tl::unexpected(by_column.error());
  }
  config.table.standardise.clear();
  for (const auto& [name, scale] : *by_column) {
    config.table.columns[name].mean = scale->mean;
    config.table.columns[name].deviation = scale->deviation;
  }
  return config;
}

Expected<void> normalise_examples(const DatasetConfig& config, const std::vector<Scale>& scales,
                                  Dataset& dataset) {
  if (dataset.vocabulary != 0) {
    return refuse("data_contract_violated",
                  fmt::format("dataset {} has tokens, which train.normalise cannot change",
                              quote(config.name)),
                  "leave normalise out", Scope::site);
  }
  const InputColumns inputs(dataset.shape);
  const auto by_column = match(config, inputs.names, scales);
  if (!by_column) {
    return tl::unexpected(by_column.error());
  }
  std::vector<const Scale*> of_column;
  for (const auto& name : inputs.names) {
    of_column.push_back(by_column->at(name));
  }
  const std::size_t width = inputs.names.size() * inputs.per_example;
  for (std::size_t at = 0; at < dataset.features.size(); ++at) {
    const Scale& scale = *of_column[inputs.column_of(at % width)];
    dataset.features[at] =
        static_cast<float>((dataset.features[at] - scale.mean) / scale.deviation);
  }
  return {};
}

}  // namespace

Expected<Dataset> load_normalised(const DatasetConfig& config, const std::vector<Scale>& scales) {
  if (is_table(config.source)) {
    const auto normalised = normalised_table(config, scales);
    return normalised ? load_dataset(*normalised)
                      : Expected<Dataset>(tl::unexpected(normalised.error()));
  }
  auto dataset = load_dataset(config);
  if (dataset) {
    if (auto done = normalise_examples(config, scales, *dataset); !done) {
      return tl::unexpected(done.error());
    }
  }
  return dataset;
}

}  // namespace entente::agent
