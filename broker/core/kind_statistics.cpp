// Jobs that count: each site counts its own rows, and what they say is added up in the order of the
// sites. The first round counts values, means and categories; the second, between edges that follow
// from the ranges of all sites, the histograms of the numbers (common/domain/statistics.h).
#include "broker/core/statistics.h"

#include <fmt/format.h>

#include <algorithm>

#include "broker/core/jobs.h"
#include "broker/core/kinds.h"
#include "common/base/figures.h"

namespace entente::broker {
namespace {

constexpr Round kFirst = 1;

std::string describe(const Job&, const std::vector<SiteId>& asked) {
  return fmt::format("counting at {}", counted(asked.size(), "site"));
}

void close(Step& step, Job& job, RoundRow& round) {
  Statistics total;
  std::uint64_t examples = 0;
  for (const auto* answer : round_answers(job, round.round)) {
    // Checked when it was accepted; a row that the disk has damaged since counts nothing.
    if (const auto statistics = statistics_from(answer->row.result.sums)) {
      add(total, *statistics);
      examples += answer->row.result.examples;
    }
  }
  fit_message(total);
  round.sums = to_sums(total);
  round.state = RoundState::done;
  step.save(round);
  JobEvent event;
  event.kind = JobEventKind::round_merged;
  event.round = round.round;
  event.examples = examples;
  event.text = fmt::format("round {} counted {} at {}", round.round, counted(examples, "example"),
                           counted(round.updates, "site"));
  step.tell(job, std::move(event));
  if (round.round == kFirst && ranges_of(total).empty()) {
    stop_early(step, job, "no column has numbers that a histogram could be made of");
  }
}

}  // namespace

std::optional<Refusal> check_statistics(const Job& job, Round round, const TaskResult& result) {
  const auto statistics = site_statistics_from(result.sums, job.spec().statistics->bins);
  if (!statistics) {
    return statistics.error();
  }
  const auto ranges = ranges_for(job, round);
  const bool is_of_round =
      round == kFirst
          ? statistics->histograms.empty()
          : statistics->columns.empty() &&
                std::all_of(statistics->histograms.begin(), statistics->histograms.end(),
                            [&](const auto& entry) { return ranges.contains(entry.first); });
  return is_of_round ? std::nullopt
                     : std::optional(Refusal{"statistics_invalid",
                                             fmt::format("its statistics have columns that round "
                                                         "{} does not ask for",
                                                         round),
                                             "docs/trainer-contract.md says what a round asks for",
                                             Scope::task});
}

Sums ranges_for(const Job& job, Round round) {
  if (round == kFirst) {
    return {};
  }
  const auto first = statistics_from(job.rounds.at(kFirst).sums);
  return first ? to_sums(ranges_of(*first)) : Sums();
}

Sums all_statistics(const Job& job) {
  Sums sums;
  for (const auto& [number, round] : job.rounds) {
    sums.insert(round.sums.begin(), round.sums.end());
  }
  return sums;
}

const KindRules kStatisticsKind{TaskKind::statistics, false,    asks_all, turnout_of_all,
                                all_in_turn,          describe, close};

}  // namespace entente::broker
