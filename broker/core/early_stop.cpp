#include "broker/core/early_stop.h"

#include <fmt/format.h>

namespace entente::broker {

std::optional<Round> best_round(const Job& job) {
  std::optional<Round> best;
  double best_score = 0;
  for (const auto& [number, round] : job.rounds) {
    const auto its_score = score(job.spec().stop, round.evaluate_metrics);
    if (round.model && its_score && (!best || *its_score > best_score)) {
      best = number;
      best_score = *its_score;
    }
  }
  return best;
}

std::optional<std::string> reason_to_stop(const Job& job) {
  const auto& stop = job.spec().stop;
  if (!stop) {
    return std::nullopt;
  }
  std::optional<Round> improved;  // the last round that was an improvement
  double best = 0;
  std::uint32_t since = 0;  // evaluations after it
  for (const auto& [number, round] : job.rounds) {
    const auto its_score = score(stop, round.evaluate_metrics);
    if (!its_score) {
      continue;
    }
    if (!improved || *its_score > best + stop->min_delta) {
      improved = number;
      best = *its_score;
      since = 0;
    } else if (++since == stop->patience) {
      const bool lower = is_error(stop->metric);
      return fmt::format(
          "stopped early: in {} evaluation{} {} has not {}{} the {:.4g} of round {}", since,
          since == 1 ? "" : "s", stop->metric, lower ? "fallen below" : "risen above",
          stop->min_delta > 0 ? fmt::format(" (by more than {})", stop->min_delta) : "",
          lower ? -best : best, *improved);
    }
  }
  return std::nullopt;
}

}  // namespace entente::broker
