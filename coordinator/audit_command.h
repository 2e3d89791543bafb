// `entente audit`: the broker's audit log, read and checked by those it should convince. The chain
// is checked here, not at the broker.
#pragma once

#include "coordinator/output.h"

namespace CLI {
class App;
}

namespace entente::cli {

// Adds the command to `app`. Parsing stores into `chosen` what is to be run; `options` and
// `chosen` must outlive it.
void add_audit_command(CLI::App& app, const Options& options, Action& chosen);

}  // namespace entente::cli
