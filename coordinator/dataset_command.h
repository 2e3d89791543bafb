// `entente dataset`: what there is to train on.
#pragma once

#include <string>

#include "common/domain/site.h"
#include "coordinator/output.h"

namespace CLI {
class App;
}

namespace entente::cli {

// What a model can learn from the dataset: "10 classes", "1 number".
[[nodiscard]] std::string goal_of(const DatasetAdvert& dataset);

// Adds the command to `app`. Parsing stores into `chosen` what is to be run; `options` and
// `chosen` must outlive it.
void add_dataset_command(CLI::App& app, const Options& options, Action& chosen);

}  // namespace entente::cli
