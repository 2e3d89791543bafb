#include "tests/simulation/counting_promise.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "common/domain/statistics.h"
#include "tests/simulation/fake_training.h"

namespace entente::simulation {
namespace {

bool is_near(double a, double b) { return std::abs(a - b) <= 1e-9 * (1 + std::abs(b)); }

// The first round, as if all rows had lain in one table.
std::optional<std::string> fault_of_columns(const std::vector<const broker::TaskRow*>& done,
                                            const Statistics& said) {
  double count = 0;
  double sum = 0;
  double low = std::numeric_limits<double>::infinity();
  double high = -low;
  for (const auto* task : done) {
    const auto rows = static_cast<double>(examples_at(task->key.site));
    count += rows;
    sum += rows * age_at(task->key.site);
    low = std::min(low, age_at(task->key.site) / 2);
    high = std::max(high, age_at(task->key.site) * 2);
  }
  const auto age = said.columns.find("age");
  if (age == said.columns.end() || static_cast<double>(age->second.count) != count ||
      age->second.sites != done.size() || !is_near(age->second.mean, sum / count) ||
      age->second.low != low || age->second.high != high) {
    return fmt::format("counts another table than its {} sites have", done.size());
  }
  return std::nullopt;
}

// The second one: every site's rows lie in its bin.
std::optional<std::string> fault_of_bins(const std::vector<const broker::TaskRow*>& done,
                                         const Ranges& ranges, const Statistics& said) {
  std::map<std::size_t, std::uint64_t> wanted;
  for (const auto* task : done) {
    const auto& site = task->key.site;
    wanted[bin_of(age_at(site), ranges.at("age"), kCountedBins)] += examples_at(site);
  }
  const auto& bins = said.histograms.at("age").bins;
  if (bins.size() != kCountedBins) {
    return fmt::format("has {} bins of {}", bins.size(), kCountedBins);
  }
  for (std::size_t i = 0; i < bins.size(); ++i) {
    if (bins[i] != wanted[i]) {
      return fmt::format("has {} rows in bin {}, and its sites have {}", bins[i], i, wanted[i]);
    }
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::string> fault_of_counting(const BrokerDisk& disk, const broker::RoundRow& row) {
  if (disk.jobs.at(row.job).spec.kind != JobKind::statistics || row.state != RoundState::done) {
    return std::nullopt;
  }
  const auto done = disk.done(row.job, row.round, TaskKind::statistics);
  const auto said = statistics_from(row.sums);
  if (!said) {
    return fmt::format("P3 {} round {}: {}", row.job.str(), row.round, said.error().message);
  }
  std::optional<std::string> fault;
  if (row.round == 1) {
    fault = fault_of_columns(done, *said);
  } else {
    const auto first = statistics_from(disk.rounds.at({row.job, 1}).sums);
    fault = fault_of_bins(done, ranges_of(first.value()), *said);
  }
  return fault ? std::optional(fmt::format("P3 {} round {} {}", row.job.str(), row.round, *fault))
               : std::nullopt;
}

}  // namespace entente::simulation
