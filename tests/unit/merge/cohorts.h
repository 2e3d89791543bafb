// Updates for the tests of strategies, and rules applied to them without any file.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "broker/merge/strategies/update_values.h"
#include "common/domain/strategy_spec.h"

namespace entente::broker {

using Vector = std::vector<float>;

struct TestCohort {
  std::vector<Vector> updates;
  std::vector<double> weights;
  std::vector<std::uint64_t> steps{};  // 1 where it is left out
  double momentum = 0;
  double prox_mu = 0;

  [[nodiscard]] std::size_t size() const { return updates.front().size(); }
};

// mt19937_64's numbers are the same everywhere; values spread over a few powers of two.
[[nodiscard]] TestCohort random_cohort(std::uint64_t seed, std::size_t sites, std::size_t elements);

// The seven sites of the project's reference for aggregation rules: six near (1, 2) and an outlier.
[[nodiscard]] TestCohort seven_sites();

[[nodiscard]] StrategySpec strategy(const std::string& kind,
                                    std::map<std::string, double> parameters = {});

// What the rule makes of the whole cohort, in double.
[[nodiscard]] std::vector<double> merged(const StrategySpec& spec, const TestCohort& cohort,
                                         std::size_t threads = 1);

// The cohort with its sites in another order.
[[nodiscard]] TestCohort reordered(const TestCohort& cohort, const std::vector<std::size_t>& order);

[[nodiscard]] bool same_bits(std::span<const double> a, std::span<const double> b);

// Runs `body` with each instruction set that this machine has and that was compiled for.
void on_every_instruction_set(const std::function<void(const char* name)>& body);

// Lengths around the width of a register, of a block and of a range.
[[nodiscard]] const std::vector<std::size_t>& lengths();

}  // namespace entente::broker
