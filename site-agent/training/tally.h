// Counts what a model says against what is true, batch by batch, as the sums of
// common/domain/measures.h.
//
// While training only what every round tells is counted: the loss, and how many were right or how
// far off. An evaluation counts everything that metrics follow from.
#pragma once

#include <torch/torch.h>

#include <cstdint>

#include "common/domain/losses.h"
#include "common/domain/task.h"

namespace entente::agent {

class Tally {
 public:
  enum class Detail : std::uint8_t { training, evaluation };

  Tally(Loss loss, Detail detail) : loss_(loss), detail_(detail) {}

  // A batch: its mean loss, what that mean divides by, and shapes as of Objective::mean.
  void add(double mean_loss, double weight, const torch::Tensor& outputs,
           const torch::Tensor& labels);
  [[nodiscard]] const Sums& sums() const { return sums_; }

 private:
  void count_classes(const torch::Tensor& outputs, const torch::Tensor& labels);
  void count_numbers(const torch::Tensor& outputs, const torch::Tensor& targets);
  void count_answers(const torch::Tensor& outputs, const torch::Tensor& targets);
  void add(std::string_view name, double value);
  void add(std::string_view name, const torch::Tensor& values);

  Loss loss_;
  Detail detail_;
  Sums sums_;
};

}  // namespace entente::agent
