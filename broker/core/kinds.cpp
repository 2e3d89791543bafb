#include "broker/core/kinds.h"

#include <algorithm>
#include <cmath>

#include "broker/core/cohort.h"
#include "broker/core/merges.h"
#include "common/base/check.h"

namespace entente::broker {

const KindRules& rules_of(const JobSpec& spec) {
  switch (spec.kind) {
    case JobKind::train:
      return spec.async ? kAsyncKind : kTrainKind;
    case JobKind::statistics:
      return kStatisticsKind;
    case JobKind::evaluate:
      return kEvaluateKind;
    case JobKind::cyclic:
      return kCyclicKind;
    case JobKind::cross_evaluate:
      return kCrossEvaluateKind;
    case JobKind::predict:
      return kPredictKind;
  }
  ENTENTE_CHECK(!"a kind of job without rules");
  return kTrainKind;
}

bool asks_all(const Job&) { return false; }

Turnout turnout_of_all(const Job& job) {
  const auto all = places(job);
  return {all, all, job.spec().sites.quorum_among(all)};
}

std::vector<SiteId> all_in_turn(const State& state, const Job& job, Round) {
  return sites_at_work(state, job, Among::holding_places);
}

void merge_updates(Step& step, Job& job, RoundRow& round) {
  round.state = RoundState::merging;
  round.train_metrics = mean_metrics(round_answers(job, round.round));
  step.save(round);
  start_merge(step, job, round);
}

std::vector<const Task*> round_answers(const Job& job, Round round) {
  std::vector<const Task*> answers;
  const auto kind = task_in(job, round);
  const bool is_buffered = rules_of(job).is_buffered;
  for (const auto& [key, task] : job.tasks) {
    const auto taken_by = is_buffered ? round_of(task.row) : key.round;
    if (taken_by == round && key.kind == kind && task.row.state == TaskState::done) {
      answers.push_back(&task);
    }
  }
  // By key they are in the order of the rounds that they began with.
  std::stable_sort(answers.begin(), answers.end(),
                   [](const Task* a, const Task* b) { return a->row.key.site < b->row.key.site; });
  return answers;
}

Metrics mean_metrics(const std::vector<const Task*>& answers) {
  Metrics means;
  if (answers.empty()) {
    return means;
  }
  for (const auto& [name, unused] : answers.front()->row.result.metrics) {
    double sum = 0;
    double weight = 0;
    bool everywhere = true;
    for (const auto* task : answers) {
      const auto metric = task->row.result.metrics.find(name);
      everywhere = everywhere && metric != task->row.result.metrics.end();
      if (everywhere) {
        sum += metric->second * static_cast<double>(task->row.result.examples);
        weight += static_cast<double>(task->row.result.examples);
      }
    }
    // Two huge values of hostile sites add up to infinity, which no row can hold.
    if (everywhere && weight > 0 && std::isfinite(sum)) {
      means[name] = sum / weight;
    }
  }
  return means;
}

}  // namespace entente::broker
