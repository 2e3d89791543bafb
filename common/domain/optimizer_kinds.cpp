#include "common/domain/optimizer_kinds.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "common/base/nearest.h"
#include "common/base/quote.h"

namespace entente {
namespace {

struct OptimizerKind {
  std::string_view name;
  bool has_momentum = false;
  std::span<const AttributeRow> options{};
};

// A share of what is remembered; 1 would never forget.
constexpr AttributeRow memory_or(std::string_view name, double fallback) {
  return number_or(name, fallback, 0, 0.999999);
}
constexpr AttributeRow eps_or(double fallback) { return number_or("eps", fallback, 1e-20, 1); }

constexpr std::array kSgd{flag_or("nesterov", false)};
constexpr std::array kAdam{memory_or("beta1", 0.9), memory_or("beta2", 0.999), eps_or(1e-8),
                           flag_or("amsgrad", false)};
constexpr std::array kRmsprop{memory_or("alpha", 0.99), eps_or(1e-8), flag_or("centered", false)};
constexpr std::array kAdagrad{number_or("lr_decay", 0, 0, 1), eps_or(1e-10)};

constexpr std::array kOptimizerKinds{
    OptimizerKind{"sgd", true, kSgd},          OptimizerKind{"adam", false, kAdam},
    OptimizerKind{"adamw", false, kAdam},      OptimizerKind{"rmsprop", true, kRmsprop},
    OptimizerKind{"adagrad", false, kAdagrad},
};

const OptimizerKind* find_optimizer_kind(std::string_view name) {
  const auto found = std::find_if(kOptimizerKinds.begin(), kOptimizerKinds.end(),
                                  [&](const OptimizerKind& kind) { return kind.name == name; });
  return found == kOptimizerKinds.end() ? nullptr : found;
}

tl::unexpected<Refusal> invalid(std::string message, std::string hint) {
  return refuse("job_invalid", std::move(message), std::move(hint), Scope::job);
}

}  // namespace

std::vector<std::string> optimizer_names() {
  std::vector<std::string> names;
  for (const auto& kind : kOptimizerKinds) {
    names.emplace_back(kind.name);
  }
  return names;
}

std::vector<std::string> optimizer_options(std::string_view kind) {
  const auto* found = find_optimizer_kind(kind);
  return found == nullptr ? std::vector<std::string>() : attribute_names(found->options);
}

Expected<OptimizerSpec> resolve_optimizer(const OptimizerSpec& spec) {
  const auto* kind = find_optimizer_kind(spec.kind);
  if (kind == nullptr) {
    const auto known = optimizer_names();
    return invalid(fmt::format("train.optimizer.type is {}, which is unknown{}", quote(spec.kind),
                               suggestion(spec.kind, known)),
                   fmt::format("set train.optimizer.type to \"{}\"",
                               nearest(spec.kind, known).value_or(known.front())));
  }
  // Each condition is written so that a NaN fails it.
  if (!(spec.lr >= kLearningRateMin && std::isfinite(spec.lr))) {
    return invalid(fmt::format("train.optimizer.lr is {}, must be a number from {}", spec.lr,
                               kLearningRateMin),
                   "0.01 is a common start");
  }
  if (!(spec.momentum >= 0 && spec.momentum < 1)) {
    return invalid(fmt::format("train.optimizer.momentum is {}, must be at least 0 and below 1",
                               spec.momentum),
                   "0.9 is common, 0 turns it off");
  }
  if (spec.momentum != 0 && !kind->has_momentum) {
    return invalid(
        fmt::format("train.optimizer.momentum has no effect: {} has none of that name", kind->name),
        "leave it out, or set beta1");
  }
  if (!(spec.weight_decay >= 0 && std::isfinite(spec.weight_decay))) {
    return invalid(fmt::format("train.optimizer.weight_decay is {}, must be a number from 0",
                               spec.weight_decay),
                   "0 turns it off");
  }
  OptimizerSpec resolved = spec;
  if (auto wrong = complete_attributes(kind->options, resolved.options)) {
    return invalid("train.optimizer: " + wrong->cause, std::move(wrong->hint));
  }
  if (kind->name == "sgd" && boolean_in(resolved.options, "nesterov") && spec.momentum == 0) {
    return invalid("train.optimizer.nesterov has no effect: momentum is 0",
                   "set train.optimizer.momentum, 0.9 is common");
  }
  return resolved;
}

}  // namespace entente
