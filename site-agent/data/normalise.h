// A dataset whose numbers are normalised as a job says: (x - mean) / deviation, with the same mean
// and deviation at every site (common/domain/statistics_spec.h).
//
//  - Every number among the inputs is named by the job, and every name is such a number: a column
//    that is forgotten at one site would be another input there than elsewhere.
//  - The job's numbers take the place of the site's own `standardise`, `mean` and `deviation`. A
//    missing value is filled in first, by the site's own rule.
//  - Categories stay as they are. Pixels and arrays are normalised by channel or position, which
//    dataset_statistics.h names.
#pragma once

#include <vector>

#include "common/base/refusal.h"
#include "common/domain/statistics_spec.h"
#include "site-agent/data/dataset.h"
#include "site-agent/data/dataset_config.h"

namespace entente::agent {

// Like load_dataset; refuses with "data_contract_violated" names that do not fit.
[[nodiscard]] Expected<Dataset> load_normalised(const DatasetConfig& config,
                                                const std::vector<Scale>& scales);

}  // namespace entente::agent
