// The data contract: whether a site's dataset fits the job's model, checked before a job begins.
// Only pass, or fail with the reason, leaves the site.
#pragma once

#include <cstdint>
#include <string_view>

#include "common/base/refusal.h"
#include "common/domain/job_spec.h"
#include "common/domain/layers.h"
#include "site-agent/data/dataset.h"

namespace entente::agent {

// What the job uses a dataset for.
enum class Use : std::uint8_t { training, evaluation };

// Refuses with "data_contract_violated" and a sentence for people at the site and at the
// coordinator: `dataset "digits" has examples of shape [1, 28, 28], the model takes [3, 32, 32]`.
[[nodiscard]] Expected<void> check_data_contract(std::string_view name, const Dataset& dataset,
                                                 const ModelSpec& model,
                                                 const ResolvedModel& resolved, Loss loss, Use use);

}  // namespace entente::agent
