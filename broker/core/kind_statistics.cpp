// Jobs that count: each site counts its own rows, and what they say is added up in the order of the
// sites. The first round counts values, means and categories; the second, between edges that follow
// from the ranges of all sites, the histograms of the numbers (common/domain/statistics.h).
#include "broker/core/statistics.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "broker/core/jobs.h"
#include "broker/core/kinds.h"
#include "common/base/figures.h"

namespace entente::broker {
namespace {

constexpr Round kFirst = 1;

std::string describe(const Job&, const std::vector<SiteId>& asked) {
  return fmt::format("counting at {}", counted(asked.size(), "site"));
}

// Without names in the spec, whatever a site's dataset is made from.
bool are_asked_for(const StatisticsSpec& spec, const Statistics& statistics) {
  const auto is_asked = [&spec](const auto& entry) {
    return std::find(spec.columns.begin(), spec.columns.end(), entry.first) != spec.columns.end();
  };
  return spec.columns.empty()
             ? statistics.columns.size() <= columns_max(spec.bins)
             : std::all_of(statistics.columns.begin(), statistics.columns.end(), is_asked);
}

// A column is what most sites say that it is; of equally many the first role counts.
void choose_roles(const std::vector<Statistics>& answers, Statistics& total) {
  std::map<std::string, std::map<ColumnRole, std::uint64_t>> told;
  for (const auto& answer : answers) {
    for (const auto& [name, column] : answer.columns) {
      told[name][column.role] += column.sites;
    }
  }
  for (const auto& [name, roles] : told) {
    const auto most =
        std::max_element(roles.begin(), roles.end(),
                         [](const auto& a, const auto& b) { return a.second < b.second; });
    total.columns.emplace(name, Column{most->first});
  }
}

void close(Step& step, Job& job, RoundRow& round) {
  std::vector<Statistics> answers;
  std::uint64_t examples = 0;
  for (const auto* answer : round_answers(job, round.round)) {
    // Checked when it was accepted; a row that the disk has damaged since counts nothing.
    if (auto statistics = statistics_from(answer->row.result.sums)) {
      answers.push_back(*std::move(statistics));
      examples += answer->row.result.examples;
    }
    // What each of them said is of no use any more.
    auto& task = job.tasks.at(answer->row.key);
    task.row.result.sums.clear();
    step.save(task);
  }
  Statistics total;
  choose_roles(answers, total);
  for (const auto& answer : answers) {
    add(total, answer);
  }
  const auto columns = total.columns.size();
  fit_message(total, job.spec().statistics->bins);
  const auto left_out = columns - total.columns.size();
  round.sums = to_sums(total);
  round.state = RoundState::done;
  step.save(round);
  JobEvent event;
  event.kind = JobEventKind::round_merged;
  event.round = round.round;
  event.examples = examples;
  event.text = fmt::format("round {} counted {} at {}", round.round, counted(examples, "example"),
                           counted(round.updates, "site"));
  if (left_out > 0) {
    event.text += fmt::format(
        "\n  {} that the fewest sites have are left out: name those that you want in "
        "statistics.columns, or ask for fewer bins",
        counted(left_out, "column"));
  }
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
          ? statistics->histograms.empty() && are_asked_for(*job.spec().statistics, *statistics)
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

const KindRules kStatisticsKind{
    always<TaskKind::statistics>, false, asks_all, turnout_of_all, all_in_turn, describe, close};

}  // namespace entente::broker
