// What a site does with a model in one round: local epochs of minibatch descent, or an evaluation.
//
// Everything random follows from the seed: the order of the examples in each epoch, how pictures
// are varied and, by way of LibTorch's global generator, dropout.
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <vector>

#include "common/base/refusal.h"
#include "common/domain/job_spec.h"
#include "site-agent/contract/contract.h"
#include "site-agent/training/examples.h"
#include "site-agent/training/model.h"
#include "site-agent/training/objective.h"
#include "site-agent/training/progress_meter.h"

namespace entente::agent {

// One stretch of training: which parameters it moves, and what is added to the loss's gradient for
// each of them.
struct Course {
  std::vector<torch::Tensor> parameters{};  // of the model; empty: all that are trained
  std::uint32_t epochs = 0;                 // 0: the spec's
  // pull * (w - anchor), the gradient of pull/2 |w - anchor|^2. For each parameter, or an undefined
  // tensor for one that is not drawn anywhere; empty when pull is 0.
  double pull = 0;
  std::vector<torch::Tensor> anchors{};
  // SCAFFOLD's c - c_i, likewise; empty: none. After clipping: it is no part of the loss.
  std::vector<torch::Tensor> drifts{};
};

// Trains `model` in place with the learning rate of `round`, for so many steps, or for the course's
// epochs when `steps` is 0. Metrics are over the last epoch's examples, or as many of the last
// steps, taken while training. Refuses with "training_diverged" when the loss or a parameter is no
// longer a finite number.
[[nodiscard]] Expected<contract::Result> train_locally(Model& model, const Examples& examples,
                                                       const TrainSpec& spec, std::uint32_t round,
                                                       std::uint64_t seed, std::uint64_t steps,
                                                       const ReportProgress& report,
                                                       const Course& course = {});

// Metrics over all examples, and the sums that they follow from. Refuses with
// "evaluation_not_finite".
[[nodiscard]] Expected<contract::Result> evaluate_model(Model& model, const Examples& examples,
                                                        const Objective& objective,
                                                        const ReportProgress& report);

}  // namespace entente::agent
