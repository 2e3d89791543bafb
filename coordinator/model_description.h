// What a declared model is: its layers with shapes and parameters, and the declaration with every
// layer written out. Of a job file or of a job; nothing leaves this machine for the former.
#pragma once

#include <string>

#include "coordinator/output.h"

namespace entente::cli {

// `subject` is the path of a job file, or a job's id.
ExitCode describe_model(const Options& options, const std::string& subject);

}  // namespace entente::cli
