#include "common/domain/strategy_kinds.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "common/base/check.h"
#include "common/base/limits.h"
#include "common/base/nearest.h"
#include "common/base/quote.h"

namespace entente {
namespace {

constexpr double kAnyMax = 1e12;
constexpr double kSitesMax = static_cast<double>(limits::kSitesPerJobMax);
// A pass over all updates each.
constexpr double kIterationsMax = 100;

constexpr StrategyParameter positive(std::string_view name, double fallback) {
  return {name, fallback, 0, kAnyMax, Bound::excluded};
}

constexpr StrategyParameter decay(std::string_view name, double fallback) {
  return {name, fallback, 0, 1, Bound::included, Bound::excluded};
}

constexpr StrategyParameter byzantine(double fallback) {
  return {"byzantine", fallback, 0, kSitesMax, Bound::included, Bound::included, true};
}

constexpr std::array kMomentum{positive("server_lr", 1), decay("beta1", 0.9)};
constexpr std::array kAdagrad{positive("server_lr", 0.1), decay("beta1", 0.9),
                              positive("tau", 1e-3)};
constexpr std::array kAdam{positive("server_lr", 0.1), decay("beta1", 0.9), decay("beta2", 0.99),
                           positive("tau", 1e-3)};
constexpr std::array kYogi{positive("server_lr", 0.01), decay("beta1", 0.9), decay("beta2", 0.99),
                           positive("tau", 1e-3)};
constexpr std::array kAssumedBad{byzantine(0)};
constexpr std::array kOneBad{byzantine(1)};
constexpr std::array kTrimmed{
    StrategyParameter{"beta", 0.2, 0, 0.5, Bound::included, Bound::excluded}, byzantine(0)};
constexpr std::array kMultiKrum{
    byzantine(1), StrategyParameter{"m", 0, 0, kSitesMax, Bound::included, Bound::included, true}};
constexpr std::array kGeometric{
    StrategyParameter{"iterations", 3, 1, kIterationsMax, Bound::included, Bound::included, true},
    positive("nu", 1e-6), byzantine(0)};
constexpr std::array kScaffold{positive("server_lr", 1)};
constexpr std::array kFair{StrategyParameter{"q", 1, 0, 10}};

constexpr std::array kGuards{StrategyParameter{kClipNorm, 0, 0, kAnyMax},
                             StrategyParameter{kNormMax, 0, 0, limits::kUpdateNormMax},
                             StrategyParameter{kWeightCap, 0, 0, 1}};

using Sentence = std::optional<std::string>;

Sentence any_number(const StrategySpec&, std::size_t) { return std::nullopt; }

Sentence needs(const StrategySpec& spec, std::size_t updates, std::size_t factor,
               std::size_t summand) {
  const auto bad = strategy_count(spec, "byzantine");
  const auto least = factor * bad + summand;
  if (updates >= least) {
    return std::nullopt;
  }
  return fmt::format("{} with byzantine = {} needs at least {} updates ({}f + {}), there are {}",
                     spec.kind, bad, least, factor, summand, updates);
}

Sentence median_guarantee(const StrategySpec& spec, std::size_t updates) {
  return needs(spec, updates, 2, 1);
}

Sentence krum_guarantee(const StrategySpec& spec, std::size_t updates) {
  return needs(spec, updates, 2, 3);
}

Sentence bulyan_guarantee(const StrategySpec& spec, std::size_t updates) {
  return needs(spec, updates, 4, 3);
}

Sentence multi_krum_guarantee(const StrategySpec& spec, std::size_t updates) {
  if (auto few = krum_guarantee(spec, updates)) {
    return few;
  }
  const auto most = updates - strategy_count(spec, "byzantine");
  if (const auto m = strategy_count(spec, "m"); m > most) {
    return fmt::format(
        "multi_krum with m = {} would have to take bad updates: of {} with byzantine"
        " = {} it may take {}",
        m, updates, strategy_count(spec, "byzantine"), most);
  }
  return std::nullopt;
}

Sentence trimmed_guarantee(const StrategySpec& spec, std::size_t updates) {
  const auto trim = trimmed_at_each_end(spec, updates);
  const auto bad = strategy_count(spec, "byzantine");
  if (trim >= bad) {
    return std::nullopt;
  }
  return fmt::format(
      "trimmed_mean with beta = {} leaves out {} of {} updates at each end, fewer than byzantine, "
      "{}",
      strategy_parameter(spec, "beta"), trim, updates, bad);
}

constexpr std::array kKinds{
    StrategyKind{"fedavg", true, {}, &any_number},
    StrategyKind{"fedavgm", true, kMomentum, &any_number},
    StrategyKind{"fedadagrad", true, kAdagrad, &any_number},
    StrategyKind{"fedadam", true, kAdam, &any_number},
    StrategyKind{"fedyogi", true, kYogi, &any_number},
    StrategyKind{"fednova", true, {}, &any_number},
    StrategyKind{"scaffold", true, kScaffold, &any_number},
    StrategyKind{"qfedavg", false, kFair, &any_number},
    StrategyKind{"median", false, kAssumedBad, &median_guarantee},
    StrategyKind{"trimmed_mean", false, kTrimmed, &trimmed_guarantee},
    StrategyKind{"krum", false, kOneBad, &krum_guarantee},
    StrategyKind{"multi_krum", true, kMultiKrum, &multi_krum_guarantee},
    StrategyKind{"bulyan", false, kOneBad, &bulyan_guarantee},
    StrategyKind{"geometric_median", true, kGeometric, &median_guarantee},
};

const StrategyParameter* find_parameter(const StrategyKind& kind, std::string_view name) {
  for (const auto& list : {kind.parameters, std::span<const StrategyParameter>(kGuards)}) {
    for (const auto& parameter : list) {
      if (parameter.name == name) {
        return &parameter;
      }
    }
  }
  return nullptr;
}

std::vector<std::string> parameter_names(const StrategyKind& kind) {
  std::vector<std::string> names;
  for (const auto& list : {kind.parameters, std::span<const StrategyParameter>(kGuards)}) {
    for (const auto& parameter : list) {
      names.emplace_back(parameter.name);
    }
  }
  return names;
}

tl::unexpected<Refusal> invalid(std::string message, std::string hint) {
  return refuse("job_invalid", std::move(message), std::move(hint), Scope::job);
}

bool is_in_range(const StrategyParameter& row, double value) {
  // Written so that a NaN is in no range.
  return (row.at_min == Bound::included ? value >= row.min : value > row.min) &&
         (row.at_max == Bound::included ? value <= row.max : value < row.max) &&
         (!row.is_whole || value == std::floor(value));
}

std::string range_of(const StrategyParameter& row) {
  return fmt::format("must be {}{} {} and {} {}", row.is_whole ? "a whole number, " : "",
                     row.at_min == Bound::included ? "at least" : "above", row.min,
                     row.at_max == Bound::included ? "at most" : "below", row.max);
}

Expected<void> check_parameters(const StrategySpec& spec, const StrategyKind& kind) {
  for (const auto& [name, value] : spec.parameters) {
    const auto* row = find_parameter(kind, name);
    if (row == nullptr) {
      return invalid(fmt::format("strategy.{} is not a parameter of {}{}", quote(name), kind.name,
                                 suggestion(name, parameter_names(kind))),
                     "docs/strategies.md lists the parameters of each strategy");
    }
    if (!is_in_range(*row, value)) {
      return invalid(fmt::format("strategy.{} is {}, {}", name, value, range_of(*row)),
                     fmt::format("{} is the default", row->fallback));
    }
  }
  return {};
}

Expected<void> check_weights(const StrategySpec& spec, const StrategyKind& kind,
                             std::size_t updates_min) {
  if (spec.site_weights.empty() != (spec.weights != Weighting::given)) {
    return invalid("strategy.weights gives no site a weight", "name a site, or use \"uniform\"");
  }
  for (const auto& [site, weight] : spec.site_weights) {
    if (!(weight > 0 && weight <= kAnyMax)) {
      return invalid(fmt::format("strategy.weights.{} is {}, must be above 0 and at most {}",
                                 site.str(), weight, kAnyMax),
                     "leave a site out with sites.exclude");
    }
  }
  const double cap = strategy_parameter(spec, kWeightCap);
  if (!kind.is_weighted && (cap > 0 || spec.weights == Weighting::given)) {
    return invalid(fmt::format("strategy.{} has no effect: {} takes all updates for the same",
                               cap > 0 ? kWeightCap : "weights", kind.name),
                   "leave it out, or choose a strategy that weighs updates");
  }
  if (cap > 0 && cap * static_cast<double>(updates_min) < 1) {
    return invalid(fmt::format("strategy.weight_cap is {}, and a round may have {} updates: their "
                               "shares could not add up to 1",
                               cap, updates_min),
                   fmt::format("raise it to {:.3g}, or raise sites.quorum",
                               1 / static_cast<double>(updates_min)));
  }
  return {};
}

}  // namespace

std::string_view to_string(Weighting weighting) {
  switch (weighting) {
    case Weighting::examples:
      return "examples";
    case Weighting::steps:
      return "steps";
    case Weighting::uniform:
      return "uniform";
    case Weighting::given:
      return "given";
  }
  return {};
}

bool needs_loss_before(const StrategySpec& spec) { return spec.kind == "qfedavg"; }

bool needs_steps(const StrategySpec& spec) { return spec.kind == "fednova"; }

bool has_control(const StrategySpec& spec) { return spec.kind == "scaffold"; }

bool is_robust(const StrategySpec& spec) {
  const auto* kind = find_strategy_kind(spec.kind);
  ENTENTE_CHECK(kind != nullptr);
  return find_parameter(*kind, "byzantine") != nullptr;
}

std::vector<std::string> strategy_names() {
  std::vector<std::string> names;
  for (const auto& kind : kKinds) {
    names.emplace_back(kind.name);
  }
  return names;
}

const StrategyKind* find_strategy_kind(std::string_view name) {
  const auto* const found = std::find_if(kKinds.begin(), kKinds.end(),
                                         [&](const auto& kind) { return kind.name == name; });
  return found == kKinds.end() ? nullptr : found;
}

double strategy_parameter(const StrategySpec& spec, std::string_view name) {
  if (const auto given = spec.parameters.find(std::string(name)); given != spec.parameters.end()) {
    return given->second;
  }
  const auto* kind = find_strategy_kind(spec.kind);
  ENTENTE_CHECK(kind != nullptr);
  const auto* row = find_parameter(*kind, name);
  ENTENTE_CHECK(row != nullptr);
  return row->fallback;
}

std::size_t strategy_count(const StrategySpec& spec, std::string_view name) {
  return static_cast<std::size_t>(strategy_parameter(spec, name));
}

std::size_t trimmed_at_each_end(const StrategySpec& spec, std::size_t updates) {
  // 0.29 * 100 is a little less than 29 in binary.
  constexpr double kRounding = 1e-9;
  const double share = strategy_parameter(spec, "beta") * static_cast<double>(updates);
  return std::min(static_cast<std::size_t>(std::floor(share + kRounding)), (updates - 1) / 2);
}

std::size_t multi_krum_picks(const StrategySpec& spec, std::size_t updates) {
  const auto m = strategy_count(spec, "m");
  return m != 0 ? m : updates - strategy_count(spec, "byzantine");
}

std::optional<std::string> outside_guarantee(const StrategySpec& spec, std::size_t updates) {
  const auto* kind = find_strategy_kind(spec.kind);
  ENTENTE_CHECK(kind != nullptr);
  return kind->outside_guarantee(spec, updates);
}

Expected<void> check_strategy(const StrategySpec& spec, std::size_t updates_min) {
  const auto* kind = find_strategy_kind(spec.kind);
  if (kind == nullptr) {
    const auto known = strategy_names();
    return invalid(fmt::format("strategy.kind is {}, which is unknown{}", quote(spec.kind),
                               suggestion(spec.kind, known)),
                   fmt::format("set strategy.kind to \"{}\"",
                               nearest(spec.kind, known).value_or(known.front())));
  }
  if (auto sound = check_parameters(spec, *kind); !sound) {
    return sound;
  }
  if (auto sound = check_weights(spec, *kind, updates_min); !sound) {
    return sound;
  }
  if (auto sentence = kind->outside_guarantee(spec, updates_min)) {
    return invalid(*sentence + " in a round that closes at its quorum",
                   "raise sites.min and sites.quorum, or lower strategy.byzantine");
  }
  return {};
}

}  // namespace entente
