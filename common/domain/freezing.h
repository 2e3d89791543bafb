// Which tensors of a model stay as they are: `freeze` of a job file.
//
// A pattern is a tensor's name in which each * stands for any characters: "features.*" is every
// tensor of the layer or block "features", "*.bias" every bias.
#pragma once

#include <string>
#include <vector>

#include "common/base/refusal.h"
#include "common/domain/layers.h"

namespace entente {

// For each tensor of the layout whether it is frozen. Refuses with "job_invalid" a pattern that no
// tensor matches, and patterns that leave nothing to train.
[[nodiscard]] Expected<std::vector<bool>> frozen_tensors(const std::vector<std::string>& patterns,
                                                         const ResolvedModel& model);

}  // namespace entente
