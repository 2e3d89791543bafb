#include "broker/core/buffering.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "broker/core/cohort.h"
#include "broker/core/kinds.h"
#include "broker/core/selection.h"
#include "broker/core/tasks.h"
#include "common/base/check.h"

namespace entente::broker {
namespace {

const RoundRow& newest_round(const Job& job) {
  ENTENTE_CHECK(!job.rounds.empty());
  return job.rounds.rbegin()->second;
}

bool is_training(const TaskKey& key) { return key.kind == TaskKind::train; }

bool is_complete(const Job& job, const Buffer& buffer) {
  return buffer.updates >= updates_wanted(job) && buffer.sites.size() >= quorum(job);
}

// It lacks other sites' updates, and has enough of this one.
bool lacks_others(const Job& job, const Buffer& buffer, const SiteId& site) {
  return buffer.updates >= updates_wanted(job) && buffer.sites.contains(site);
}

// Whether the site may be given a task in the open round, as far as that hangs on the site. Whoever
// has failed for good in it is left out until the next one; who is silent gets one task in it.
bool lacks_task(const Job& job, const Buffer& buffer, const SiteId& site) {
  if (lacks_others(job, buffer, site)) {
    return false;
  }
  const auto* task = buffered_task_of(job, site);
  return task == nullptr || (!is_open(*task) && task->row.state != TaskState::failed &&
                             !job.parts.at(site).row.silent);
}

std::size_t sites_at_once(const Job& job) {
  const auto limit = job.spec().async->concurrency;
  return limit == 0 ? std::numeric_limits<std::size_t>::max() : limit;
}

// Open tasks that get on.
std::size_t sites_training(const Step& step, const Job& job) {
  return static_cast<std::size_t>(
      std::count_if(job.tasks.begin(), job.tasks.end(), [&](const auto& entry) {
        return is_training(entry.first) && is_open(entry.second) &&
               !is_stalled(step, job, entry.second);
      }));
}

// Whether somebody is at work on an update of the round, or can be.
bool is_under_way(const Step& step, const Job& job, const Buffer& buffer) {
  const auto sites = in_turn(step.state, job, newest_round(job).round);
  return sites_training(step, job) > 0 ||
         std::any_of(sites.begin(), sites.end(), [&](const SiteId& site) {
           return !job.parts.at(site).row.silent && lacks_task(job, buffer, site);
         });
}

// Where an update of the site goes. While the job rests no round closes, also when it has what it
// takes.
Round round_for(const Job& job, const SiteId& site) {
  const auto& round = newest_round(job);
  const auto buffer = buffer_of(job, round.round);
  const bool has_room = round.state == RoundState::training && !is_complete(job, buffer) &&
                        !lacks_others(job, buffer, site);
  return has_room ? round.round : round.round + 1;
}

bool has_open_sibling(const Job& job, const TaskKey& key) {
  for (auto it = job.tasks.upper_bound(key);
       it != job.tasks.end() && it->first.round == key.round && it->first.kind == key.kind &&
       it->first.site == key.site;
       ++it) {
    if (is_open(it->second)) {
      return true;
    }
  }
  return false;
}

// An open task; how the open round went at its site; an update that is not merged yet, that sets
// the seed of an open task apart, or that says when its site's turn comes again.
bool is_needed(const Job& job, const TaskKey& key, const Task& task) {
  const auto& newest = newest_round(job);
  if (is_open(task) || key.kind == TaskKind::evaluate || key.round == newest.round) {
    return true;
  }
  if (!is_training(key) || task.row.accepted_seq == 0) {
    return false;
  }
  const bool waits = newest.state == RoundState::done ? task.row.merged_in > newest.round
                                                      : task.row.merged_in >= newest.round;
  const bool is_last = job.parts.at(key.site).accepted_key == key;
  return (task.row.state == TaskState::done && (waits || is_last)) || has_open_sibling(job, key);
}

}  // namespace

const Task* buffered_task_of(const Job& job, const SiteId& site) {
  const auto current = job.rounds.empty() ? 0 : job.rounds.rbegin()->first;
  const Task* newest = nullptr;
  // From one round that has tasks to the next; none older is open.
  const auto oldest = current - std::min<Round>(current, job.spec().async->staleness_max);
  auto it = job.tasks.lower_bound({job.id(), oldest, TaskKind::initialize, SiteId(), 0});
  while (it != job.tasks.end()) {
    const auto round = it->first.round;
    for (const auto kind : {TaskKind::initialize, TaskKind::train}) {
      for (it = job.tasks.lower_bound({job.id(), round, kind, site, 0});
           it != job.tasks.end() && it->first.round == round && it->first.kind == kind &&
           it->first.site == site;
           ++it) {
        if (is_open(it->second)) {
          return &it->second;
        }
        newest = round == current ? &it->second : nullptr;
      }
    }
    it = job.tasks.lower_bound({job.id(), round + 1, TaskKind::initialize, SiteId(), 0});
  }
  return newest;
}

Buffer buffer_of(const Job& job, Round round) {
  Buffer buffer;
  for (const auto* task : round_answers(job, round)) {
    ++buffer.updates;
    buffer.sites.insert(task->row.key.site);
  }
  return buffer;
}

std::uint32_t taken_before(const Job& job, const TaskKey& key) {
  std::uint32_t taken = 0;
  for (auto it = job.tasks.lower_bound({key.job, key.round, key.kind, key.site, 0});
       it != job.tasks.end() && it->first < key; ++it) {
    taken += it->second.row.accepted_seq != 0 ? 1 : 0;
  }
  return taken;
}

std::optional<std::string> why_useless(const Job& job, const Task& task) {
  const auto& key = task.row.key;
  if (!rules_of(job).is_buffered || !is_training(key)) {
    return std::nullopt;
  }
  const auto into = round_for(job, key.site);
  if (into > job.spec().rounds) {
    return newest_round(job).state == RoundState::training
               ? "not needed, the last round has enough of this site and waits for others"
               : "not needed, the job has the updates that it takes";
  }
  const auto staleness = into - key.round;
  const auto staleness_max = job.spec().async->staleness_max;
  if (staleness > staleness_max) {
    return fmt::format("too late, the model is {} versions further and async.staleness_max is {}",
                       staleness, staleness_max);
  }
  return std::nullopt;
}

void enter_buffer(Job& job, Task& task) {
  task.row.merged_in = round_for(job, task.row.key.site);
  task.row.accepted_seq = ++job.accepted;
}

std::string acceptance_text(const Job& job, const TaskRow& task) {
  const auto staleness = task.merged_in - task.key.round;
  const auto late = fmt::format(", {} version{} late", staleness, staleness == 1 ? "" : "s");
  const auto number = buffer_of(job, task.merged_in).updates;
  const auto wanted = updates_wanted(job);
  return fmt::format("{} sent update {} for round {}{}: {} examples", task.key.site.str(),
                     number <= wanted ? fmt::format("{} of {}", number, wanted)
                                      : fmt::format("{}, where {} suffice,", number, wanted),
                     task.merged_in, staleness == 0 ? "" : late, task.result.examples);
}

std::string acceptance_detail(const TaskRow& task) {
  return task.accepted_seq == 0
             ? ""
             : fmt::format(" as {} for version {}", task.accepted_seq, task.merged_in);
}

void forget_settled(Job& job) {
  if (job.rounds.empty()) {
    return;
  }
  std::erase_if(job.tasks,
                [&job](const auto& entry) { return !is_needed(job, entry.first, entry.second); });
}

void open_buffer(Step& step, Job& job) {
  const auto round = newest_round(job).round;
  const auto staleness_max = job.spec().async->staleness_max;
  for (auto& [key, task] : job.tasks) {
    if (!is_training(key) || !is_open(task)) {
      continue;
    }
    if (round - key.round > staleness_max) {
      give_up_task(step, job, task,
                   fmt::format("given up, the model is {} versions further and "
                               "async.staleness_max is {}",
                               round - key.round, staleness_max));
    } else if (is_stalled(step, job, task) && step.state.sites.at(key.site).advertised) {
      lose_task(step, job, task, stalled_for(job));
    }
  }
  forget_settled(job);
}

void try_close_buffer(Step& step, Job& job, RoundRow& round) {
  const auto buffer = buffer_of(job, round.round);
  if (buffer.sites.size() < quorum(job) ||
      (buffer.updates < updates_wanted(job) && is_under_way(step, job, buffer))) {
    return;
  }
  if (round.round == job.spec().rounds) {
    for (auto& [key, task] : job.tasks) {
      if (is_training(key) && is_open(task)) {
        give_up_task(step, job, task, "not needed, the job has the updates that it takes");
      }
    }
  }
  round.updates = static_cast<std::uint32_t>(buffer.updates);
  rules_of(job).close(step, job, round);
}

void keep_training(Step& step, Job& job) {
  const auto& round = newest_round(job);
  if (!job.runs() || round.round == 0 || round.state != RoundState::training) {
    return;
  }
  const auto buffer = buffer_of(job, round.round);
  auto training = sites_training(step, job);
  for (const auto& site : in_turn(step.state, job, round.round)) {
    // Beside the others: nobody waits for a silent site's (cohort.h).
    const bool is_silent = job.parts.at(site).row.silent;
    if (!lacks_task(job, buffer, site) || (!is_silent && training >= sites_at_once(job))) {
      continue;
    }
    open_round_task(step, job, round.round, site);
    training += is_silent ? 0 : 1;
  }
}

std::optional<std::string> reason_to_wait(const Job& job, const SiteId& site) {
  const auto* task = buffered_task_of(job, site);
  if (!job.runs() || job.rounds.empty() || newest_round(job).round == 0 ||
      !job.parts.at(site).row.has_place || (task != nullptr && is_open(*task))) {
    return std::nullopt;
  }
  const auto& round = newest_round(job);
  if (round.state == RoundState::merging) {
    return fmt::format("it waits for version {}, which is being merged", round.round);
  }
  if (round.state != RoundState::training) {
    return std::nullopt;
  }
  const auto buffer = buffer_of(job, round.round);
  if (lacks_others(job, buffer, site)) {
    return fmt::format("round {} has its updates and waits for other sites' (sites.quorum is {})",
                       round.round, quorum(job));
  }
  if (job.spec().async->concurrency != 0 && lacks_task(job, buffer, site)) {
    return fmt::format("its turn comes when another site has answered (async.concurrency is {})",
                       job.spec().async->concurrency);
  }
  return std::nullopt;
}

}  // namespace entente::broker
