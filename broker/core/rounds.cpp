#include "broker/core/rounds.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "broker/core/buffering.h"
#include "broker/core/cohort.h"
#include "broker/core/cross_evaluation.h"
#include "broker/core/draining.h"
#include "broker/core/early_stop.h"
#include "broker/core/evaluations.h"
#include "broker/core/jobs.h"
#include "broker/core/kinds.h"
#include "broker/core/leftovers.h"
#include "broker/core/merges.h"
#include "broker/core/pausing.h"
#include "broker/core/requests.h"
#include "broker/core/selection.h"
#include "broker/core/tasks.h"
#include "common/base/check.h"

namespace entente::broker {
namespace {

RoundRow& current_round(Job& job) {
  ENTENTE_CHECK(!job.rounds.empty());
  return job.rounds.rbegin()->second;
}

std::vector<Task*> tasks_of(Job& job, Round round, TaskKind kind) {
  std::vector<Task*> tasks;
  for (auto& [key, task] : job.tasks) {
    if (key.round == round && key.kind == kind) {
      tasks.push_back(&task);
    }
  }
  return tasks;
}

// The first site that has not failed to make the initial model yet. Whose latest attempt was only
// lost may try again.
std::optional<SiteId> next_maker(Job& job, const std::vector<SiteId>& candidates) {
  std::map<SiteId, TaskState> latest;
  for (const auto* task : tasks_of(job, 0, TaskKind::initialize)) {  // in the order of attempts
    latest[task->row.key.site] = task->row.state;
  }
  const auto next = std::ranges::find_if(candidates, [&](const SiteId& site) {
    const auto tried = latest.find(site);
    return tried == latest.end() || tried->second == TaskState::lost;
  });
  return next == candidates.end() ? std::nullopt : std::optional(*next);
}

// Who may be given a task that nobody else does meanwhile.
std::vector<SiteId> responsive_sites(const State& state, const Job& job) {
  auto sites = sites_at_work(state, job, Among::holding_places);
  std::erase_if(sites, [&job](const SiteId& site) { return job.parts.at(site).row.silent; });
  return sites;
}

// Keeps the making of the initial model going: from a site that failed or stalled to the next.
// While there is no next one, who stalls may still make it. False when nobody is left.
bool make_initial_model(Step& step, Job& job) {
  Task* stalled = nullptr;
  for (auto* task : tasks_of(job, 0, TaskKind::initialize)) {
    if (task->row.state == TaskState::done) {
      return true;
    }
    if (is_open(*task)) {
      if (!is_stalled(step, job, *task)) {
        return true;
      }
      stalled = task;
    }
  }
  const auto site = next_maker(job, responsive_sites(step.state, job));
  if (!site) {
    return false;
  }
  if (stalled != nullptr) {
    lose_task(step, job, *stalled, stalled_for(job));
  }
  open_task(step, job, 0, TaskKind::initialize, *site);
  return true;
}

// Of the round, under any attempt: what it waits for.
std::vector<Task*> tasks_of(Job& job, const RoundRow& round) {
  return tasks_of(job, round.round, task_in(job, round.round));
}

void start_round(Step& step, Job& job, Round number) {
  auto& round = job.rounds[number];
  round.job = job.id();
  round.round = number;
  round.state = RoundState::training;
  step.save(round);
  const bool is_buffered = rules_of(job).is_buffered;
  if (!is_buffered) {
    std::erase_if(job.tasks, [number](const auto& entry) {
      const auto& task = entry.second;
      return entry.first.kind != TaskKind::evaluate && !is_open(task) &&
             round_of(task.row) < number;
    });
  }
  if (number == 0) {
    return;
  }
  const auto sites = is_buffered ? std::vector<SiteId>() : first_in_turn(step.state, job, number);
  JobEvent event;
  event.kind = JobEventKind::round_started;
  event.round = number;
  event.text = describe_start(job, number, sites);
  step.tell(job, std::move(event));
  if (is_buffered) {
    open_buffer(step, job);  // it may have what it takes already, before anybody is asked
  }
  for (const auto& site : sites) {
    open_round_task(step, job, number, site);
  }
}

// What the sites said that failed at this, a line each.
std::string failures(const Job& job, Round round, TaskKind kind) {
  std::string text;
  for (const auto& [key, task] : job.tasks) {
    if (key.round == round && key.kind == kind && !task.row.reason.empty()) {
      text += fmt::format("\n  {}: {}", key.site.str(), task.row.reason);
    }
  }
  return text;
}

// How many sites may not be asked although they are there, as a line of its own.
std::string resting_sites(const Job& job, Round round) {
  const auto resting = std::count_if(job.parts.begin(), job.parts.end(), [&](const auto& entry) {
    return entry.second.row.has_place && rests(job, entry.second, round);
  });
  return resting == 0 ? ""
                      : fmt::format("\n  {} of its sites rest (sites.sample.separation)", resting);
}

// Says once that a round below its quorum waits for a silent site.
void report_stall(Step& step, Job& job, Task& task) {
  if (task.stall_reported) {
    return;
  }
  task.stall_reported = true;
  JobEvent event;
  event.kind = JobEventKind::task_lost;
  event.round = task.row.key.round;
  event.site = task.row.key.site.str();
  event.text = fmt::format("{}: {}; the round waits for it, its quorum is {}", event.site,
                           stalled_for(job), quorum(job));
  step.tell(job, std::move(event));
}

// Below the quorum: says whom the round waits for, and ends the job when nobody is left.
void wait_for_quorum(Step& step, Job& job, const RoundRow& round) {
  const auto done = buffer_of(job, round.round).sites.size();
  const auto needed = quorum(job);
  if (done >= needed) {
    return;
  }
  if (within_reach(step, job) < needed) {
    fail(step, job,
         fmt::format("round {} has {} of the {} {} it needs, and nobody is left to send more"
                     "{}{}{}",
                     round.round, done, needed,
                     rules_of(job).is_buffered ? "sites' updates" : "updates",
                     failures(job, round.round, task_in(job, round.round)), declined_sites(job),
                     resting_sites(job, round.round)));
    return;
  }
  for (auto& [key, task] : job.tasks) {
    if (key.kind == task_in(job, round.round) && is_open(task) && is_stalled(step, job, task)) {
      report_stall(step, job, task);
    }
  }
}

void try_close_round(Step& step, Job& job, RoundRow& round) {
  std::size_t done = 0;
  std::vector<Task*> open;
  bool all_open_stall = true;
  for (auto* task : tasks_of(job, round)) {
    if (task->row.state == TaskState::done) {
      ++done;
    } else if (is_open(*task)) {
      open.push_back(task);
      all_open_stall = all_open_stall && is_stalled(step, job, *task);
    }
  }
  if (done < quorum(job)) {
    return;
  }
  const bool is_full = done >= updates_wanted(job);
  // Nobody is at work, but somebody may be asked instead of those who have failed.
  const bool goes_on = rules_of(job).draws(job) && open.empty() && may_join(step, job);
  if (!is_full && (!all_open_stall || goes_on)) {
    return;
  }
  for (auto* task : open) {
    end_without(step, job, *task);
  }
  round.updates = static_cast<std::uint32_t>(done);
  rules_of(job).close(step, job, round);
}

// The evaluation first: at a site with one slot it then runs before the next round's training.
void start_next_round(Step& step, Job& job) {
  advance_evaluations(step, job);
  if (job.runs()) {
    start_round(step, job, current_round(job).round + 1);
  }
}

// The newest round is done: the next one begins, unless the job gives way.
void go_on(Step& step, Job& job) {
  if (!job.runs()) {
    return;
  }
  if (current_round(job).round < rounds_of(job)) {
    if (give_way(step, job)) {
      return;
    }
    start_next_round(step, job);
  }
  advance(step, job);
}

// The round lacks what was damaged: who sent it is asked again.
void reopen(Step& step, Job& job, RoundRow& round, const std::vector<BlobId>& damaged) {
  for (const auto* answer : round_answers(job, round.round)) {
    if (std::find(damaged.begin(), damaged.end(), *answer->row.result.blob) != damaged.end()) {
      lose_update(step, job, job.tasks.at(answer->row.key));
    }
  }
  round.state = RoundState::training;
  round.updates = 0;
  round.train_metrics.clear();
  step.save(round);
  join_open_round(step, job);
  advance(step, job);
}

}  // namespace

void start_rounds(Step& step, Job& job) {
  if (job.rounds.empty()) {
    start_round(step, job, rules_of(job).makes_model ? 0 : 1);
    advance(step, job);
    return;
  }
  take_up_tasks(step, job);
  if (!rules_of(job).is_buffered) {
    join_open_round(step, job);  // it may have lost an update to damage while it rested
  }
  const auto& last = current_round(job);
  if (last.state == RoundState::done && last.round < rounds_of(job)) {
    start_next_round(step, job);
  }
  advance(step, job);
}

bool is_finished(const Job& job) {
  return std::all_of(job.rounds.begin(), job.rounds.end(),
                     [&job](const auto& entry) {
                       const auto& round = entry.second;
                       return round.state == RoundState::done && !awaits_evaluation(job, round);
                     }) &&
         job.rounds.contains(rounds_of(job));
}

void on_initial_model(Step& step, Job& job, const Task& task) {
  auto& round = job.rounds.at(0);
  if (round.state != RoundState::training) {
    return;
  }
  publish(step, job, round, {*task.row.result.blob, task.row.result.blob_bytes, std::nullopt, 0});
  if (job.runs()) {
    start_round(step, job, 1);
  }
}

namespace {

std::string describe_merged(const Job& job, const RoundRow& round) {
  const auto model = round.model->short_hex();
  if (job.spec().kind == JobKind::predict) {
    return fmt::format("predictions of {} sites merged, {}", round.updates, model);
  }
  return round.model_of.empty()
             ? fmt::format("round {} merged from {} updates, model {}; in training", round.round,
                           round.updates, model)
             : fmt::format("version {} is the model of {}, {}; in training", round.round,
                           round.model_of, model);
}

}  // namespace

void on_merge_finished(Step& step, const MergeFinished& merge) {
  const auto found = step.state.jobs.find(merge.job);
  if (found == step.state.jobs.end() || found->second.ended() || found->second.rounds.empty()) {
    return;
  }
  Job& job = found->second;
  auto& round = current_round(job);
  if (round.round != merge.round || round.state != RoundState::merging) {
    return;
  }
  if (!merge.damaged.empty()) {
    if (is_merged(task_in(job, round.round))) {
      reopen(step, job, round, merge.damaged);
    } else {
      leave_out_update(step, job, round);
      if (round.state == RoundState::done) {
        go_on(step, job);
      }
    }
    return;
  }
  if (!merge.model) {
    fail(step, job,
         fmt::format("round {} could not be merged: {}", round.round, merge.model.error().message));
    return;
  }
  if (is_taken_back(job, round)) {
    leave_out_update(step, job, round);
    drop_unnamed(step, {merge.model->blob});
    if (round.state == RoundState::done) {
      go_on(step, job);
    }
    return;
  }
  publish(step, job, round, *merge.model);
  drop_updates(step, job, round.round);
  drop_server_state(step, job, job.rounds.at(rules_of(job).base(round.round)));
  JobEvent event;
  event.kind = JobEventKind::round_merged;
  event.round = round.round;
  event.metrics = round.train_metrics;
  event.bytes = round.model_bytes;
  event.text = describe_merged(job, round);
  step.tell(job, std::move(event));
  drop_models(step, job);
  go_on(step, job);
}

void on_evaluated(Step& step, Job& job) {
  drop_models(step, job);
  const auto& newest = current_round(job);
  const bool is_last = newest.round == rounds_of(job) && newest.state == RoundState::done;
  if (auto reason = reason_to_stop(job); reason && !is_last) {
    stop_early(step, job, std::move(*reason));
  } else if (!job.runs() && job.row.state != JobState::paused && is_finished(job)) {
    complete(step, job);  // it waits for slots that it has no use for
  }
}

void advance(Step& step, Job& job) {
  if (!job.runs()) {
    return;
  }
  release_drained(step, job);
  auto& round = current_round(job);
  if (round.round == 0 && round.state == RoundState::training) {
    fill_places(step, job);
    if (!make_initial_model(step, job) && within_reach(step, job) == 0) {
      fail(step, job,
           "no site could make the initial model" + failures(job, 0, TaskKind::initialize) +
               declined_sites(job));
    }
    return;
  }
  const bool evaluating = advance_evaluations(step, job);
  if (!job.runs()) {
    return;  // an evaluation has shown that it improves no longer
  }
  if (round.state == RoundState::training) {
    if (rules_of(job).is_buffered) {
      try_close_buffer(step, job, round);
    } else {
      try_close_round(step, job, round);
    }
    if (job.ended()) {
      return;  // what the round has found has ended it
    }
    if (round.state == RoundState::done && round.round < rounds_of(job)) {
      go_on(step, job);
      return;
    }
  }
  fill_places(step, job);
  if (round.state == RoundState::training) {
    join_open_round(step, job);
    wait_for_quorum(step, job, round);
  } else if (round.state == RoundState::done && round.round == rounds_of(job) && !evaluating) {
    complete(step, job);
  }
}

void restart_merges(Step& step, Job& job) {
  if (!job.ended() && !job.rounds.empty() && current_round(job).state == RoundState::merging) {
    start_merge(step, job, current_round(job));
  }
}

}  // namespace entente::broker
