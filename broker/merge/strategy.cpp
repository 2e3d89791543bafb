#include "broker/merge/strategy.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <functional>
#include <numeric>
#include <string_view>
#include <utility>

#include "broker/merge/strategies/bulyan.h"
#include "broker/merge/strategies/coordinate_median.h"
#include "broker/merge/strategies/distances.h"
#include "broker/merge/strategies/fed_nova.h"
#include "broker/merge/strategies/geometric_median.h"
#include "broker/merge/strategies/krum.h"
#include "broker/merge/strategies/pair_distances.h"
#include "broker/merge/strategies/q_fedavg.h"
#include "broker/merge/strategies/trimmed_mean.h"
#include "broker/merge/strategies/weighted_mean.h"
#include "common/base/check.h"
#include "common/domain/strategy_kinds.h"

namespace entente::broker {
namespace {

tl::unexpected<Refusal> outside(std::string sentence) {
  return refuse("outside_guarantee", std::move(sentence),
                "lower strategy.byzantine, or let more sites take part");
}

double sum_of(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0);
}

PreparedRule combination(std::vector<const UpdateValues*> updates, std::vector<double> weights,
                         double divisor) {
  return {std::move(updates),
          [weights = std::move(weights), divisor](Rows rows, std::span<double> merged) {
            weighted_mean(rows, weights, divisor, merged);
          }};
}

PreparedRule mean_of_picks(const Cohort& cohort, const std::vector<std::size_t>& picks) {
  std::vector<const UpdateValues*> updates;
  std::vector<double> weights;
  for (const std::size_t pick : picks) {
    updates.push_back(cohort.updates[pick]);
    weights.push_back(cohort.weights[pick]);
  }
  const double total = sum_of(weights);
  return combination(std::move(updates), std::move(weights), total);
}

Expected<PreparedRule> prepare_mean(const StrategySpec&, const Cohort& cohort, Sweep&) {
  auto weights = cohort.weights;
  for (std::size_t i = 0; i < cohort.factors.size(); ++i) {
    weights[i] *= cohort.factors[i];
  }
  // The mean is over the weights as they were: an update that counts for less takes a smaller step,
  // and gives the others no larger one (Nguyen et al. 2022, Algorithm 1).
  return combination(cohort.updates, std::move(weights), sum_of(cohort.weights));
}

Expected<PreparedRule> prepare_median(const StrategySpec&, const Cohort& cohort, Sweep&) {
  return PreparedRule{cohort.updates, &coordinate_median};
}

Expected<PreparedRule> prepare_trimmed_mean(const StrategySpec& spec, const Cohort& cohort,
                                            Sweep&) {
  const auto trim = trimmed_at_each_end(spec, cohort.updates.size());
  return PreparedRule{cohort.updates, [trim](Rows rows, std::span<double> merged) {
                        trimmed_mean(rows, trim, merged);
                      }};
}

Expected<PreparedRule> prepare_krum(const StrategySpec& spec, const Cohort& cohort, Sweep& sweep) {
  return mean_of_picks(cohort, multi_krum(pair_distances(cohort.updates, sweep),
                                          strategy_count(spec, "byzantine"), 1));
}

Expected<PreparedRule> prepare_multi_krum(const StrategySpec& spec, const Cohort& cohort,
                                          Sweep& sweep) {
  return mean_of_picks(
      cohort, multi_krum(pair_distances(cohort.updates, sweep), strategy_count(spec, "byzantine"),
                         multi_krum_picks(spec, cohort.updates.size())));
}

Expected<PreparedRule> prepare_bulyan(const StrategySpec& spec, const Cohort& cohort,
                                      Sweep& sweep) {
  const auto byzantine = strategy_count(spec, "byzantine");
  PreparedRule rule;
  for (const auto pick : bulyan_picks(pair_distances(cohort.updates, sweep), byzantine)) {
    rule.updates.push_back(cohort.updates[pick]);
  }
  rule.merge = [byzantine](Rows rows, std::span<double> merged) {
    bulyan(rows, byzantine, merged);
  };
  return rule;
}

Expected<PreparedRule> prepare_geometric_median(const StrategySpec& spec, const Cohort& cohort,
                                                Sweep& sweep) {
  const auto byzantine = strategy_count(spec, "byzantine");
  auto heaviest = cohort.weights;
  std::sort(heaviest.begin(), heaviest.end(), std::greater<>());
  heaviest.resize(byzantine);
  if (const double share = sum_of(heaviest) / sum_of(cohort.weights); share >= 0.5) {
    return outside(
        fmt::format("geometric_median needs bad updates to weigh less than half; the {} "
                    "heaviest weigh {:.0f} % of all",
                    byzantine, share * 100));
  }
  auto factors =
      geometric_median(cohort.updates, cohort.weights,
                       {strategy_count(spec, "iterations"), strategy_parameter(spec, "nu")}, sweep);
  const double total = sum_of(factors);
  return combination(cohort.updates, std::move(factors), total);
}

Expected<PreparedRule> prepare_q_fedavg(const StrategySpec& spec, const Cohort& cohort,
                                        Sweep& sweep) {
  auto combined = q_fedavg(cohort.losses, squared_norms(cohort.updates, sweep),
                           {strategy_parameter(spec, "q"), cohort.local_lr});
  return combination(cohort.updates, std::move(combined.weights), combined.divisor);
}

Expected<PreparedRule> prepare_fed_nova(const StrategySpec&, const Cohort& cohort, Sweep&) {
  auto combined = fed_nova(cohort.weights, cohort.steps,
                           {cohort.local_momentum, cohort.local_lr * cohort.prox_mu});
  return combination(cohort.updates, std::move(combined.weights), combined.divisor);
}

struct Rule {
  std::string_view name;
  Expected<PreparedRule> (*prepare)(const StrategySpec&, const Cohort&, Sweep&);
  ServerRule server = ServerRule::add;
};

constexpr std::array kRules{
    Rule{"fedavg", &prepare_mean},
    Rule{"fedavgm", &prepare_mean, ServerRule::momentum},
    Rule{"fedadagrad", &prepare_mean, ServerRule::adagrad},
    Rule{"fedadam", &prepare_mean, ServerRule::adam},
    Rule{"fedyogi", &prepare_mean, ServerRule::yogi},
    Rule{"fednova", &prepare_fed_nova},
    Rule{"scaffold", &prepare_mean, ServerRule::scale},
    Rule{"qfedavg", &prepare_q_fedavg},
    Rule{"median", &prepare_median},
    Rule{"trimmed_mean", &prepare_trimmed_mean},
    Rule{"krum", &prepare_krum},
    Rule{"multi_krum", &prepare_multi_krum},
    Rule{"bulyan", &prepare_bulyan},
    Rule{"geometric_median", &prepare_geometric_median},
};

const Rule& rule_of(const StrategySpec& spec) {
  const auto* const found = std::find_if(kRules.begin(), kRules.end(),
                                         [&](const Rule& rule) { return rule.name == spec.kind; });
  ENTENTE_CHECK(found != kRules.end());
  return *found;
}

}  // namespace

Expected<PreparedRule> prepare_rule(const StrategySpec& spec, const Cohort& cohort, Sweep& sweep) {
  ENTENTE_CHECK(!cohort.updates.empty() && cohort.updates.size() == cohort.weights.size());
  ENTENTE_CHECK(cohort.factors.empty() || cohort.factors.size() == cohort.weights.size());
  if (auto sentence = outside_guarantee(spec, cohort.updates.size())) {
    return outside(std::move(*sentence));
  }
  return rule_of(spec).prepare(spec, cohort, sweep);
}

ServerOptimizer server_optimizer(const StrategySpec& spec) {
  ServerOptimizer optimizer;
  optimizer.rule = rule_of(spec).server;
  const auto read = [&](double& value, std::string_view name) {
    value = strategy_parameter(spec, name);
  };
  if (optimizer.rule == ServerRule::add) {
    return optimizer;
  }
  read(optimizer.lr, "server_lr");
  if (optimizer.rule == ServerRule::scale) {
    return optimizer;
  }
  read(optimizer.beta1, "beta1");
  if (optimizer.rule == ServerRule::momentum) {
    return optimizer;
  }
  read(optimizer.tau, "tau");
  if (optimizer.rule != ServerRule::adagrad) {
    read(optimizer.beta2, "beta2");
  }
  return optimizer;
}

}  // namespace entente::broker
