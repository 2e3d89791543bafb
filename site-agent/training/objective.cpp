#include "site-agent/training/objective.h"

#include <vector>

namespace entente::agent {
namespace {

using torch::Tensor;

Tensor weighted_mean(const Tensor& values, const Tensor& weights) {
  return (weights.defined() ? values * weights : values).mean();
}

}  // namespace

Objective::Objective(const TrainSpec& spec, torch::Device device) : loss_(spec.loss) {
  if (!spec.class_weights.empty()) {
    const std::vector<float> weights(spec.class_weights.begin(), spec.class_weights.end());
    class_weights_ = torch::tensor(weights).to(device);
  }
}

Tensor Objective::weights_of(const Tensor& labels) const {
  return class_weights_.defined() ? class_weights_.index_select(0, labels) : Tensor();
}

// Only this loss divides by the weights of the classes; the others divide by the examples, as torch
// does.
double Objective::weight(const Tensor& labels) const {
  return loss_ == Loss::cross_entropy && class_weights_.defined()
             ? weights_of(labels).sum().item<double>()
             : static_cast<double>(labels.size(0));
}

Tensor Objective::mean(const Tensor& outputs, const Tensor& labels) const {
  switch (loss_) {
    case Loss::cross_entropy:
      return torch::cross_entropy_loss(outputs, labels, class_weights_);
    case Loss::bce: {
      if (labels.is_floating_point()) {
        return torch::binary_cross_entropy_with_logits(outputs, labels);
      }
      const auto scores = outputs.squeeze(1);
      return torch::binary_cross_entropy_with_logits(scores, labels.to(scores.dtype()),
                                                     weights_of(labels));
    }
    case Loss::mse:
      return torch::mse_loss(outputs, labels);
    case Loss::l1:
      return torch::l1_loss(outputs, labels);
    case Loss::hinge: {
      if (outputs.size(1) > 1) {
        return torch::multi_margin_loss(outputs, labels, 1, 1, class_weights_);
      }
      const auto sides = labels.to(outputs.dtype()) * 2 - 1;
      return weighted_mean((1 - sides * outputs.squeeze(1)).clamp_min(0), weights_of(labels));
    }
  }
  return {};
}

}  // namespace entente::agent
