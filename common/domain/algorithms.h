// How the parts of a job that make up one algorithm fit together: FedProx, FedNova, SCAFFOLD,
// FedBN, FedRep, Ditto. docs/algorithms.md has their sources.
//
// Each has been analysed for a kind of local training. A job that asks for another is refused with
// the reason: what its formulas would be applied to is not what they were derived for.
#pragma once

#include "common/base/refusal.h"
#include "common/domain/job_spec.h"

namespace entente {

// A part of validate(), for a spec whose parts are sound by themselves. Refuses with "job_invalid".
[[nodiscard]] Expected<void> check_algorithms(const JobSpec& spec, const ResolvedModel& model);

// The most optimiser steps that a task with so many examples comes to by the job's epochs.
[[nodiscard]] std::uint64_t steps_of_epochs(const TrainSpec& train, std::uint64_t examples);

}  // namespace entente
