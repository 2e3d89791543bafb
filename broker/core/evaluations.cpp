#include "broker/core/evaluations.h"

#include <fmt/format.h>

#include <algorithm>

#include "broker/core/cohort.h"
#include "broker/core/kinds.h"
#include "broker/core/names.h"
#include "broker/core/rounds.h"
#include "broker/core/tasks.h"
#include "common/base/figures.h"
#include "common/domain/measures.h"

namespace entente::broker {
namespace {

std::vector<Task*> evaluations_of(Job& job, Round round) {
  std::vector<Task*> tasks;
  for (auto it = job.tasks.lower_bound({job.id(), round, TaskKind::evaluate, SiteId(), 0});
       it != job.tasks.end() && it->first.round == round && it->first.kind == TaskKind::evaluate;
       ++it) {
    tasks.push_back(&it->second);
  }
  return tasks;
}

bool has_answered(const Task* task) { return task->row.state == TaskState::done; }

// Who can be asked now: at work for the job, not silent, and it has the dataset.
std::vector<SiteId> sites_with_dataset(const State& state, const Job& job) {
  auto sites = sites_at_work(state, job, Among::accepted);
  std::erase_if(sites, [&](const SiteId& site) {
    return job.parts.at(site).row.silent ||
           state.sites.at(site).row.advert.find(job.spec().evaluate->dataset) == nullptr;
  });
  return sites;
}

// Asks everybody who was not asked yet; how many.
std::size_t ask(Step& step, Job& job, Round round) {
  auto sites = sites_with_dataset(step.state, job);
  for (const auto* task : evaluations_of(job, round)) {
    std::erase(sites, task->row.key.site);
  }
  for (const auto& site : sites) {
    open_task(step, job, round, TaskKind::evaluate, site);
  }
  return sites.size();
}

// What those said that have not been counted, a line each.
std::string others_text(const std::vector<Task*>& tasks) {
  std::string text;
  for (const auto* task : tasks) {
    if (!has_answered(task) && !task->row.reason.empty()) {
      text += fmt::format("\n  not counted  {}: {}", task->row.key.site.str(), task->row.reason);
    }
  }
  return text;
}

void close(Step& step, Job& job, RoundRow& round) {
  const auto tasks = evaluations_of(job, round.round);
  std::vector<const Task*> answers;
  for (auto* task : tasks) {
    if (is_open(*task)) {
      end_without(step, job, *task, "not needed, later rounds are evaluated");
    } else if (has_answered(task)) {
      answers.push_back(task);
    }
  }
  record_evaluation(step, job, round, round.round, answers);
  step.save(round);
  std::erase_if(job.tasks, [&round](const auto& entry) {
    return entry.first.round == round.round && entry.first.kind == TaskKind::evaluate;
  });
  on_evaluated(step, job);
}

// Whether somebody is still at work on it who is worth waiting for.
bool is_under_way(const Step& step, const Job& job, const std::vector<Task*>& tasks) {
  return std::any_of(tasks.begin(), tasks.end(), [&](const Task* task) {
    return is_open(*task) && !is_stalled(step, job, *task);
  });
}

// True while it is under way. Closing one may end the job.
bool advance_evaluation(Step& step, Job& job, RoundRow& round) {
  const auto tasks = evaluations_of(job, round.round);
  if (is_under_way(step, job, tasks)) {
    return true;
  }
  if (std::none_of(tasks.begin(), tasks.end(), has_answered) && ask(step, job, round.round) > 0) {
    for (auto* task : tasks) {
      if (is_open(*task)) {
        lose_task(step, job, *task, stalled_for(job));
      }
    }
    return true;
  }
  if (!tasks.empty()) {
    close(step, job, round);
  }
  return false;
}

}  // namespace

bool awaits_evaluation(const Job& job, const RoundRow& round) {
  const auto& evaluate = job.spec().evaluate;
  const bool is_apart = trains(job.spec().kind) && job.spec().kind != JobKind::cross_evaluate;
  return evaluate && is_apart && !job.ended() && round.round > 0 &&
         round.state == RoundState::done && !round.evaluated &&
         (round.round == rounds_of(job) || round.round % evaluate->every == 0);
}

bool advance_evaluations(Step& step, Job& job) {
  std::vector<Round> open;
  for (const auto& [number, round] : job.rounds) {
    if (awaits_evaluation(job, round)) {
      open.push_back(number);
    }
  }
  bool busy = false;
  for (std::size_t i = 0; i < open.size() && job.runs(); ++i) {
    auto& round = job.rounds.at(open[i]);
    if (open.size() - i > kEvaluationsOpenMax) {
      close(step, job, round);
    } else {
      busy = advance_evaluation(step, job, round) || busy;
    }
  }
  return busy;
}

void on_evaluation_answered(Step& step, Job& job, Round number) {
  auto& round = job.rounds.at(number);
  const auto tasks = evaluations_of(job, number);
  if (awaits_evaluation(job, round) &&
      std::none_of(tasks.begin(), tasks.end(), [](const Task* t) { return is_open(*t); })) {
    close(step, job, round);
  }
}

Combined combine(const std::vector<const Task*>& answers) {
  Combined combined;
  Sums total;
  const Task* odd = nullptr;
  for (const auto* task : answers) {
    const auto& result = task->row.result;
    combined.examples += result.examples;
    if (odd == nullptr && (result.sums.empty() || !add(total, result.sums))) {
      odd = task;
    }
  }
  if (odd == nullptr) {
    combined.metrics = metrics_from(total);
    return combined;
  }
  if (answers.size() == 1) {
    combined.metrics = odd->row.result.metrics;
  } else {
    combined.metrics = mean_metrics(answers);
    combined.how = fmt::format("means weighted by examples, since {} sends no sums that add up",
                               odd->row.key.site.str());
  }
  return combined;
}

std::string judged_text(const RoundRow& judged, Round round) {
  return judged.model_of.empty() ? fmt::format("round {}", round)
                                 : "the model of " + judged.model_of;
}

void record_evaluation(Step& step, Job& job, RoundRow& round, Round asked_in,
                       const std::vector<const Task*>& answers) {
  const auto combined = combine(answers);
  round.evaluated = true;
  round.evaluate_metrics = combined.metrics;
  round.evaluated_at = static_cast<std::uint32_t>(answers.size());
  round.evaluation_examples = combined.examples;
  std::vector<SiteId> sites;
  for (const auto* answer : answers) {
    auto& task = job.tasks.at(answer->row.key);
    const auto& site = task.row.key.site;
    sites.push_back(site);
    auto& part = job.parts.at(site);
    if (part.row.evaluated_round <= round.round) {
      part.row.evaluate_metrics = task.row.result.metrics;
      part.row.evaluation_examples = task.row.result.examples;
      part.row.evaluated_round = round.round;
      step.save(part);
    }
    if (!task.row.result.sums.empty()) {
      task.row.result.sums.clear();
      step.save(task);
    }
  }
  JobEvent event;
  event.kind = JobEventKind::evaluated;
  event.round = round.round;
  event.metrics = combined.metrics;
  event.examples = combined.examples;
  const auto what = judged_text(round, round.round);
  event.text = answers.empty()
                   ? fmt::format("{} is not evaluated, no site has answered", what)
                   : fmt::format("{} evaluated at {} on {} examples together: {}{}{}", what,
                                 counted(sites.size(), "site"), combined.examples, names(sites),
                                 combined.how.empty() ? "" : "; ", combined.how);
  event.text += others_text(evaluations_of(job, asked_in));
  step.tell(job, std::move(event));
}

}  // namespace entente::broker
