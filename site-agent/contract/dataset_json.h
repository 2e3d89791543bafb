// A dataset as JSON, with the keys of agent.toml (docs/datasets.md). Lists, tables and numbers that
// are not given are left out; every other key is always there.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "site-agent/contract/json_fields.h"
#include "site-agent/data/dataset_config.h"

namespace entente::agent::contract {

[[nodiscard]] nlohmann::json dataset_to_json(const DatasetConfig& dataset);
// Checks form and bounds only; whether the data is there is load_dataset's business.
[[nodiscard]] DatasetConfig dataset_from_json(JsonFields dataset, Fault& fault);

}  // namespace entente::agent::contract
