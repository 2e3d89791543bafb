// What a declared model is: its layers with shapes and parameters, and the declaration with every
// layer written out. Of a job file or of a job; nothing leaves this machine for the former.
#pragma once

#include <string>

#include "common/domain/model_spec.h"
#include "coordinator/output.h"

namespace entente::cli {

// The model that a job file or a job declares. Refuses with "model_unknown".
[[nodiscard]] Expected<ModelSpec> model_of(const Options& options, const std::string& subject);

// `subject` is the path of a job file, or a job's id.
ExitCode describe_model(const Options& options, const std::string& subject);

}  // namespace entente::cli
