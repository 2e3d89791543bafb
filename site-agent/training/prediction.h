// What a model says of inputs that a coordinator has brought, from file to file: no example of the
// site's is read.
#pragma once

#include <torch/torch.h>

#include <string>

#include "common/base/refusal.h"
#include "common/domain/losses.h"
#include "site-agent/training/model.h"
#include "site-agent/training/progress_meter.h"

namespace entente::agent {

// Writes a row of outputs for each row of `inputs`: probabilities for the losses whose scores are
// logits of classes or of yes and no (cross_entropy, bce), otherwise what the model gives. Refuses
// with "inputs_invalid" inputs of another shape, or tokens that the model does not know, and with
// "prediction_not_finite". Throws std::system_error when the disk fails.
[[nodiscard]] Expected<void> predict_inputs(Model& model, torch::Device device, Loss loss,
                                            const std::string& inputs, const std::string& output,
                                            const ReportProgress& report);

}  // namespace entente::agent
