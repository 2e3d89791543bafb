// `entente model prune`: a model with fewer weights than it was trained with.
#pragma once

#include "coordinator/output.h"

namespace CLI {
class App;
}

namespace entente::cli {

// Adds the command to `model`, otherwise like add_model_command.
void add_prune_command(CLI::App& model, const Options& options, Action& chosen);

}  // namespace entente::cli
