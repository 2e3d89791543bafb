// `entente job`: submit, list, show, watch, abort.
#pragma once

#include "coordinator/output.h"

namespace CLI {
class App;
}

namespace entente::cli {

// Adds the command to `app`. Parsing stores into `chosen` what is to be run; `options` and `chosen`
// must outlive it.
void add_job_command(CLI::App& app, const Options& options, Action& chosen);

}  // namespace entente::cli
