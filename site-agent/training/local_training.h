// What a site does with a model in one round: local epochs of minibatch descent, or an evaluation.
//
// Everything random follows from the seed: the order of the examples in each epoch, how pictures
// are varied and, by way of LibTorch's global generator, dropout.
#pragma once

#include <cstdint>

#include "common/base/refusal.h"
#include "common/domain/job_spec.h"
#include "site-agent/contract/contract.h"
#include "site-agent/training/examples.h"
#include "site-agent/training/model.h"
#include "site-agent/training/objective.h"
#include "site-agent/training/progress_meter.h"

namespace entente::agent {

// Trains `model` in place with the learning rate of `round`, for so many steps, or for the spec's
// epochs when `steps` is 0. Metrics are over the last epoch's examples, or as many of the last
// steps, taken while training. Refuses with "training_diverged" when the loss or a parameter is no
// longer a finite number.
[[nodiscard]] Expected<contract::Result> train_locally(Model& model, const Examples& examples,
                                                       const TrainSpec& spec, std::uint32_t round,
                                                       std::uint64_t seed, std::uint64_t steps,
                                                       const ReportProgress& report);

// Metrics over all examples, and the sums that they follow from. Refuses with
// "evaluation_not_finite".
[[nodiscard]] Expected<contract::Result> evaluate_model(Model& model, const Examples& examples,
                                                        const Objective& objective,
                                                        const ReportProgress& report);

}  // namespace entente::agent
