// What stays at a site, and what therefore leaves it.
//
//  - `train.exclude` and `train.private` name tensors that each site keeps for itself. They start
//    from the job's initial model, an update has no place for them, and the global model keeps
//    their initial values. With `train.private` a site may train them apart (FedRep).
//  - SCAFFOLD exchanges a control variate beside the model: an update has a second tensor
//    "<name>:control" for each that is exchanged, and a site keeps its own.
//  - Ditto's personal model stays at its site: "<name>:personal" for each tensor of the model.
//
// No tensor of a model has a colon in its name.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/base/refusal.h"
#include "common/domain/job_spec.h"
#include "common/domain/layers.h"
#include "common/domain/tensor_layout.h"

namespace entente {

constexpr std::string_view kControlSuffix = ":control";
constexpr std::string_view kPersonalSuffix = ":personal";

// For each tensor of the layout whether it stays at the sites.
[[nodiscard]] std::vector<bool> site_tensors(const TrainSpec& train, const TensorLayout& model);

// The tensors of the model that are exchanged.
[[nodiscard]] TensorLayout shared_layout(const TrainSpec& train, const TensorLayout& model);

// The same tensors under other names.
[[nodiscard]] TensorLayout with_suffix(TensorLayout layout, std::string_view suffix);

// What an update holds, before it is encoded.
[[nodiscard]] TensorLayout update_layout(const TrainSpec& train, bool control,
                                         const TensorLayout& model);
[[nodiscard]] TensorLayout update_layout(const JobSpec& spec, const TensorLayout& model);

// What a site keeps from one round to the next, as its trainer writes it: its own tensors, its
// control variate, its personal model. Empty for most jobs.
[[nodiscard]] TensorLayout site_layout(const TrainSpec& train, bool control,
                                       const TensorLayout& model);
[[nodiscard]] TensorLayout site_layout(const JobSpec& spec, const TensorLayout& model);

// Refuses with "job_invalid" a pattern that no tensor matches, and patterns that leave nothing to
// exchange, or nothing to train apart.
[[nodiscard]] Expected<void> check_site_tensors(const TrainSpec& train, const ResolvedModel& model);

}  // namespace entente
