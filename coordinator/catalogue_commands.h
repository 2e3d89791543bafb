// `entente site` and `entente dataset`: who takes part, and what there is to train on.
#pragma once

#include "coordinator/output.h"

namespace CLI {
class App;
}

namespace entente::cli {

// Adds the commands to `app`. Parsing stores into `chosen` what is to be run; `options` and
// `chosen` must outlive it.
void add_catalogue_commands(CLI::App& app, const Options& options, Action& chosen);

}  // namespace entente::cli
