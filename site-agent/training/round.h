// One round's work at a site, from files to files: what it starts from, which courses of training
// it takes, what it sends and what stays.
//
//   FedProx   train.prox_mu           the gradient has mu (w - w_global) on top
//   SCAFFOLD  control                 the gradient has c - c_i on top; option II of the paper:
//                                     c_i+ = c_i - c + (w_global - w) / (K lr)
//   FedBN     train.exclude           tensors that are trained with the others and stay
//   FedRep    train.private           likewise; with private_epochs first these alone, then the
//                                     others alone
//   Ditto     train.personal          after all that, v: the loss and lambda/2 |v - w_global|^2
//
// docs/algorithms.md has the papers, docs/trainer-contract.md the files.
#pragma once

#include "common/base/refusal.h"
#include "common/domain/job_spec.h"
#include "site-agent/contract/contract.h"
#include "site-agent/training/examples.h"
#include "site-agent/training/model.h"
#include "site-agent/training/progress_meter.h"

namespace entente::agent {

// What of a prepared job its rounds depend on.
struct RoundSettings {
  const TrainSpec& train;
  bool loss_before = false;
  bool control = false;
};

// Leaves the model with values of no further use. Refuses like TensorFile, Model::load and
// train_locally. Throws std::system_error when the disk fails.
[[nodiscard]] Expected<contract::Result> train_round(Model& model, const Examples& examples,
                                                     const RoundSettings& settings,
                                                     const contract::Train& command,
                                                     const ReportProgress& report);

// The global model as this site uses it: with its own tensors in their places, or with `personal`
// its own model instead, once it has one. An empty `own`: there is nothing of the site's.
[[nodiscard]] Expected<void> load_for_site(Model& model, const TrainSpec& train,
                                           const std::string& global, const std::string& own,
                                           bool personal);

// The global model with what a job has left at this site laid over it, whatever that is: tensors
// under their names, or a personal model's ("NAME:personal") in their places. Refuses with
// "own_mismatch" what has no tensor of this model.
[[nodiscard]] Expected<void> load_with_own(Model& model, const std::string& global,
                                           const std::string& own);

}  // namespace entente::agent
