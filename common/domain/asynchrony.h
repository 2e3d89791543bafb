// What goes with asynchronous training, and what an update counts for that comes late.
#pragma once

#include "common/base/refusal.h"
#include "common/domain/job_spec.h"

namespace entente {

// What is left of an update that was trained from a version of the model so many versions before
// the one that it is merged into: 1 / (1 + staleness)^exponent, after Nguyen et al. (2022).
[[nodiscard]] double staleness_factor(const AsyncSpec& async, Round staleness);

// A part of validate(): refuses with "job_invalid". Does nothing for a job without [async].
[[nodiscard]] Expected<void> check_asynchrony(const JobSpec& spec);

}  // namespace entente
