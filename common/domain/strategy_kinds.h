// The table of strategies: what a job may write under [strategy]. broker/merge/strategies has the
// arithmetic, docs/strategies.md the sources.
//
// A kind is a row: its parameters with range and default, whether weights mean anything to it, and
// one function that says which numbers of updates are outside its guarantee.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/refusal.h"
#include "common/domain/strategy_spec.h"

namespace entente {

enum class Bound : std::uint8_t { included, excluded };

struct StrategyParameter {
  std::string_view name;
  double fallback = 0;
  double min = 0;
  double max = 0;
  Bound at_min = Bound::included;
  Bound at_max = Bound::included;
  bool is_whole = false;
};

struct StrategyKind {
  std::string_view name;
  bool is_weighted = true;  // a rule that is not takes every update for the same
  std::span<const StrategyParameter> parameters;
  // Why `updates` of them are too few for what the spec asks; nothing when they suffice.
  std::optional<std::string> (*outside_guarantee)(const StrategySpec& spec, std::size_t updates);
};

// Parameters that come before any rule. 0 turns each of them off.
constexpr std::string_view kClipNorm = "clip_norm";    // longer updates are shortened to it
constexpr std::string_view kNormMax = "norm_max";      // longer updates are refused
constexpr std::string_view kWeightCap = "weight_cap";  // the largest share of one site

// The metric of a training result that q-FedAvg needs: the global model's loss before training.
constexpr std::string_view kLossBefore = "loss_before";
[[nodiscard]] bool needs_loss_before(const StrategySpec& spec);

// Whether updates are divided by what their sites' steps come to: FedNova.
[[nodiscard]] bool needs_steps(const StrategySpec& spec);

// Whether server and sites keep a control variate beside the model: SCAFFOLD.
[[nodiscard]] bool has_control(const StrategySpec& spec);

// Whether the kind, which exists, is made to bear updates that are arbitrarily bad.
[[nodiscard]] bool is_robust(const StrategySpec& spec);

[[nodiscard]] std::vector<std::string> strategy_names();
// Null for a name that is none.
[[nodiscard]] const StrategyKind* find_strategy_kind(std::string_view name);

// The value of a parameter that the kind has, or its default.
[[nodiscard]] double strategy_parameter(const StrategySpec& spec, std::string_view name);
// The same of a parameter that is a whole number.
[[nodiscard]] std::size_t strategy_count(const StrategySpec& spec, std::string_view name);

// Updates that trimmed_mean leaves out at each end.
[[nodiscard]] std::size_t trimmed_at_each_end(const StrategySpec& spec, std::size_t updates);
// Updates that multi_krum takes: `m`, or by default all that need not be bad.
[[nodiscard]] std::size_t multi_krum_picks(const StrategySpec& spec, std::size_t updates);

// Why `updates` updates cannot be merged as the spec asks; nothing when they can.
[[nodiscard]] std::optional<std::string> outside_guarantee(const StrategySpec& spec,
                                                           std::size_t updates);

// Refuses with "job_invalid" what is wrong with the spec for a job whose rounds have `updates_min`
// updates or more. Every guarantee holds for more updates when it holds for these.
[[nodiscard]] Expected<void> check_strategy(const StrategySpec& spec, std::size_t updates_min);

}  // namespace entente
