// How a job wants its updates merged: a rule, the rule's parameters, and what each site weighs.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "common/base/ids.h"

namespace entente {

enum class Weighting : std::uint8_t {
  examples,  // each site counts by the examples that it trained on
  steps,     // by the optimiser steps that it took
  uniform,   // all the same
  given,     // as the coordinator says, site by site
};

[[nodiscard]] std::string_view to_string(Weighting weighting);

struct StrategySpec {
  std::string kind = "fedavg";
  // By name; one that is left out has its default (strategy_kinds.h).
  std::map<std::string, double> parameters;
  Weighting weights = Weighting::examples;
  std::map<SiteId, double> site_weights;  // with Weighting::given; a site without one weighs 1

  bool operator==(const StrategySpec&) const = default;
};

}  // namespace entente
