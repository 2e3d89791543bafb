// The table of optimizers: what a job may write under [train.optimizer]. They are torch's, under
// its names; site-agent/training/optimizers.cpp makes them.
//
// lr and weight_decay belong to all of them, momentum to some; what else a kind has is its options.
// An optimizer is started afresh in each round: its state never leaves a site.
#pragma once

#include <string>
#include <vector>

#include "common/base/refusal.h"
#include "common/domain/attributes.h"

namespace entente {

// So that a rate times the factor of a schedule is not 0, and what a rule divides by it is finite.
constexpr double kLearningRateMin = 1e-12;

struct OptimizerSpec {
  std::string kind = "sgd";
  double lr = 0.01;
  double momentum = 0.0;
  double weight_decay = 0.0;
  Attributes options{};  // those of its kind that are not left to their defaults
  bool operator==(const OptimizerSpec&) const = default;
};

[[nodiscard]] std::vector<std::string> optimizer_names();
// The options of a kind by name; empty for an unknown kind.
[[nodiscard]] std::vector<std::string> optimizer_options(std::string_view kind);

// The spec with every option filled in. Refuses with "job_invalid", naming the key at fault by its
// path in a job file.
[[nodiscard]] Expected<OptimizerSpec> resolve_optimizer(const OptimizerSpec& spec);

}  // namespace entente
