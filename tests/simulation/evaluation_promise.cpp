#include "tests/simulation/evaluation_promise.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "common/domain/measures.h"
#include "tests/simulation/fake_training.h"

namespace entente::simulation {

namespace {

bool has_same_evaluation(const broker::RoundRow& a, const broker::RoundRow& b) {
  return a.evaluate_metrics == b.evaluate_metrics && a.evaluated_at == b.evaluated_at &&
         a.evaluation_examples == b.evaluation_examples && a.at_sites == b.at_sites &&
         a.model_of == b.model_of;
}

// Of those that hold places, who may still answer: nobody asks one again that has failed at it.
bool has_failed_everywhere(const BrokerDisk& disk, const broker::RoundRow& row) {
  const auto has_failed = [&](const SiteId& site) {
    return std::ranges::any_of(disk.tasks, [&](const auto& entry) {
      const auto& [key, task] = entry;
      return key.job == row.job && key.round == row.round && key.site == site &&
             task.state == TaskState::failed;
    });
  };
  return std::ranges::all_of(disk.parts, [&](const auto& entry) {
    const auto& [job, site] = entry.first;
    return job != row.job || !entry.second.has_place ||
           entry.second.enrolment == Enrolment::declined || has_failed(site);
  });
}

}  // namespace

std::optional<std::string> fault_of_evaluation(const BrokerDisk& disk,
                                               const broker::RoundRow& row) {
  if (!row.evaluated) {
    return row.at_sites.empty()
               ? std::nullopt
               : std::optional(fmt::format("P3 {} round {} has cells before it is evaluated",
                                           row.job.str(), row.round));
  }
  const auto before = disk.rounds.find({row.job, row.round});
  if (before != disk.rounds.end() && before->second.evaluated) {
    return has_same_evaluation(before->second, row)
               ? std::nullopt
               : std::optional(
                     fmt::format("P3 {} round {} is evaluated twice", row.job.str(), row.round));
  }
  // Where evaluations are rounds of their own, it is the next one that judges this one's model.
  const bool is_row = disk.jobs.at(row.job).spec.kind == JobKind::cross_evaluate;
  const auto asked_in = row.round + (is_row ? 1 : 0);
  const auto done = disk.done(row.job, asked_in, TaskKind::evaluate);
  Sums together;
  for (const auto* task : done) {
    const auto sums = evaluation_sums(task->key.site, asked_in);
    if (!add(together, sums)) {
      return fmt::format("P3 {} round {}: sums that do not add up", row.job.str(), row.round);
    }
    const auto cell = row.at_sites.find(task->key.site);
    if (is_row && (cell == row.at_sites.end() || cell->second.metrics != metrics_from(sums) ||
                   cell->second.examples != examples_at(task->key.site))) {
      return fmt::format("P3 {}: the cell of {} for the model of {} is not what it has said",
                         row.job.str(), task->key.site.str(), row.model_of);
    }
  }
  if (is_row && row.at_sites.size() != done.size()) {
    return fmt::format("P3 {}: the model of {} has {} cells, and {} have answered", row.job.str(),
                       row.model_of, row.at_sites.size(), done.size());
  }
  if (row.evaluated_at == done.size() && row.evaluate_metrics == metrics_from(together)) {
    return std::nullopt;
  }
  return fmt::format("P3 {} round {} is evaluated at {} sites, and {} have answered", row.job.str(),
                     row.round, row.evaluated_at, done.size());
}

std::size_t answers_needed(const BrokerDisk& disk, const broker::RoundRow& row,
                           const broker::RoundRow* before) {
  const auto& spec = disk.jobs.at(row.job).spec;
  if (spec.kind != JobKind::cross_evaluate) {
    return cohort_of(spec);
  }
  // A matrix has its rows also when it has lost one since.
  const bool was_closed = before != nullptr && before->state > RoundState::training;
  if (row.round == 1) {
    return was_closed ? 1 : spec.sites.effective_quorum();
  }
  return was_closed || has_failed_everywhere(disk, row) ? 0 : 1;
}

std::optional<std::string> fault_of_matrix(
    const BrokerDisk& disk, const JobId& job, const std::vector<SiteId>& sites,
    const std::function<bool(const SiteId&)>& has_lost_an_update) {
  std::set<std::string> models;
  for (const auto& [key, round] : disk.rounds) {
    if (key.first != job || round.model_of.empty()) {
      continue;
    }
    models.insert(round.model_of);
    if (round.at_sites.size() != sites.size()) {
      return fmt::format(
          "P3 nothing lasting went wrong, and the row of {} in {} has {} of {} cells",
          round.model_of, job.str(), round.at_sites.size(), sites.size());
    }
  }
  for (const auto& site : sites) {
    if (!models.contains(site.str()) && !has_lost_an_update(site)) {
      return fmt::format("P3 nothing lasting went wrong, and {} has no row for {}", job.str(),
                         site.str());
    }
  }
  return std::nullopt;
}

}  // namespace entente::simulation
