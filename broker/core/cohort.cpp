#include "broker/core/cohort.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <set>

#include "broker/core/buffering.h"
#include "broker/core/claims.h"
#include "broker/core/jobs.h"
#include "broker/core/kinds.h"
#include "broker/core/matchmaker.h"
#include "broker/core/selection.h"
#include "broker/core/tasks.h"
#include "common/base/check.h"

namespace entente::broker {
namespace {

bool has_accepted(const Part& part) { return part.row.enrolment == Enrolment::accepted; }

// The site's newest task in the current round; what evaluates a round's model is no part of it.
const Task* task_of(const Job& job, const SiteId& site) {
  if (rules_of(job).is_buffered) {
    return buffered_task_of(job, site);
  }
  const Task* newest = nullptr;
  const auto current = job.rounds.empty() ? 0 : job.rounds.rbegin()->first;
  for (const auto kind : {TaskKind::initialize, task_in(job, current)}) {
    for (auto it = job.tasks.lower_bound({job.id(), current, kind, site, 1});
         it != job.tasks.end() && it->first.round == current && it->first.kind == kind &&
         it->first.site == site;
         ++it) {
      newest = &it->second;
    }
  }
  return newest;
}

bool has_failed(const Task* task) {
  return task != nullptr && task->row.state == TaskState::failed;
}

// Why somebody else may take the site's place; nothing while it is its own.
std::optional<std::string> vacancy(const Step& step, const Job& job, const Part& part) {
  const auto& id = part.row.site;
  if (!part.row.has_place || is_mandatory(job, id) || !rules_of(job).gives_places_away(job)) {
    return std::nullopt;
  }
  if (part.row.enrolment == Enrolment::declined) {
    return "it takes part no longer: " + part.row.reason;
  }
  if (part.row.enrolment == Enrolment::offered && !may_still_answer(step, job, part)) {
    return stalled_for(job);
  }
  const auto* task = task_of(job, id);
  const bool is_busy = task != nullptr && is_open(*task);
  if (part.row.silent || (is_busy && is_stalled(step, job, *task))) {
    return stalled_for(job);
  }
  if (is_busy) {
    return std::nullopt;
  }
  const auto& site = step.state.sites.at(id).row;
  if (site.draining) {
    return site.drain_reason.empty() ? "it is draining" : "it is draining, " + site.drain_reason;
  }
  return has_failed(task) && !rules_of(job).draws(job) ? std::optional(task->row.reason)
                                                       : std::nullopt;
}

// Whether the site stands by and could take a place at once.
bool may_take_place(const Step& step, const Job& job, const Part& part) {
  const auto& site = step.state.sites.at(part.row.site);
  if (!has_accepted(part) || part.row.has_place || part.row.silent || !site.advertised ||
      site.row.draining) {
    return false;
  }
  const auto* task = task_of(job, part.row.site);
  return !has_failed(task) && (task == nullptr || !is_open(*task) || !is_stalled(step, job, *task));
}

// By the job's preference, then by id; those that no longer fit it last.
void sort_by_preference(const State& state, Job& job, std::vector<SiteId>& sites) {
  job.candidates.refresh(job.spec(), state);
  const auto& eligible = job.candidates.eligible();
  std::vector<std::size_t> ranks(state.sites.size(), eligible.size());
  for (std::size_t rank = 0; rank < eligible.size(); ++rank) {
    ranks[eligible[rank]] = rank;
  }
  std::stable_sort(sites.begin(), sites.end(), [&](const SiteId& a, const SiteId& b) {
    return ranks[state.sites.at(a).index] < ranks[state.sites.at(b).index];
  });
}

// The preferred one of those who have a slot for it.
Part* next_in_line(Step& step, Job& job) {
  std::vector<SiteId> line;
  for (const auto& [id, part] : job.parts) {
    if (part.row.claimed && may_take_place(step, job, part)) {
      line.push_back(id);
    }
  }
  if (line.empty()) {
    return nullptr;
  }
  sort_by_preference(step.state, job, line);
  return &job.parts.at(line.front());
}

void hand_over(Step& step, Job& job, Part& from, Part& to, const std::string& why) {
  from.row.has_place = false;
  to.row.has_place = true;
  release(step, job, from);
  step.save(from);
  step.save(to);
  JobEvent event;
  event.kind = JobEventKind::site_replaced;
  event.round = job.rounds.rbegin()->first;
  event.site = to.row.site.str();
  event.text = fmt::format("{} takes the place of {}: {}", to.row.site.str(), from.row.site.str(),
                           why.substr(0, why.find('\n')));
  step.tell(job, std::move(event));
}

// Whether a site that may be given a task has none in the open round.
bool lacks_task(const Job& job, const SiteId& site) {
  const auto* task = task_of(job, site);
  return (task == nullptr || task->row.state == TaskState::lost) && !job.parts.at(site).row.silent;
}

// A round that has begun lacks an answer of those that it had drawn.
void tell_drawn(Step& step, Job& job, const SiteId& site) {
  if (!rules_of(job).draws(job) || task_of(job, site) != nullptr) {
    return;
  }
  JobEvent event;
  event.kind = JobEventKind::site_replaced;
  event.round = job.rounds.rbegin()->first;
  event.site = site.str();
  event.text =
      fmt::format("{} is drawn for round {}, which lacks an answer", site.str(), event.round);
  step.tell(job, std::move(event));
}

// Gives the slots of sites that stand by back. How many are asked and may still join.
std::size_t release_spare(Step& step, Job& job) {
  std::size_t asked = 0;
  for (auto& [id, part] : job.parts) {
    const auto* task = task_of(job, id);
    const bool is_busy = task != nullptr && is_open(*task);
    if (part.row.claimed && !part.row.has_place && has_accepted(part) && !is_busy) {
      release(step, job, part);
    }
    asked += part.row.claimed && !part.row.has_place && !has_accepted(part) ? 1 : 0;
  }
  return asked;
}

}  // namespace

bool is_mandatory(const Job& job, const SiteId& site) {
  const auto& mandatory = job.spec().sites.mandatory;
  return std::find(mandatory.begin(), mandatory.end(), site) != mandatory.end();
}

bool is_stalled(const Step& step, const Job& job, const Task& task) {
  return step.now.monotonic - task.last_progress >= job.spec().stall_window;
}

std::string stalled_for(const Job& job) {
  const auto window = std::chrono::duration_cast<std::chrono::seconds>(job.spec().stall_window);
  return fmt::format("no progress for {} s", window.count());
}

bool may_still_answer(const Step& step, const Job& job, const Part& part) {
  return part.row.enrolment == Enrolment::offered &&
         step.now.monotonic - part.offered_at < job.spec().stall_window;
}

std::vector<SiteId> sites_at_work(const State& state, const Job& job, Among among) {
  std::vector<SiteId> sites;
  for (const auto& [id, part] : job.parts) {
    const auto& site = state.sites.at(id);
    if (has_accepted(part) && part.row.claimed &&
        (part.row.has_place || among == Among::accepted) && !site.row.draining &&
        (!part.row.silent || site.session)) {
      sites.push_back(id);
    }
  }
  return sites;
}

std::size_t places(const Job& job) {
  return static_cast<std::size_t>(
      std::count_if(job.parts.begin(), job.parts.end(),
                    [](const auto& entry) { return entry.second.row.has_place; }));
}

void give_out_places(Step& step, Job& job) {
  if (!rules_of(job).gives_places_away(job)) {
    return;  // whoever has had one keeps it
  }
  for (auto& [id, part] : job.parts) {
    if (part.row.has_place && !(has_accepted(part) && part.row.claimed)) {
      part.row.has_place = false;
      step.save(part);
    }
  }
  const auto max = job.spec().sites.max;
  std::size_t given = 0;
  for (const bool mandatory : {true, false}) {
    for (auto& [id, part] : job.parts) {
      if (has_accepted(part) && part.row.claimed && is_mandatory(job, id) == mandatory &&
          (max == 0 || given < max)) {
        part.row.has_place = true;
        step.save(part);
        ++given;
      }
    }
  }
}

void fill_places(Step& step, Job& job) {
  if (!job.runs() || !job.spec().sites.replace) {
    return;
  }
  std::size_t untaken = 0;
  for (auto& [id, part] : job.parts) {
    if (const auto why = vacancy(step, job, part)) {
      if (auto* taker = next_in_line(step, job)) {
        hand_over(step, job, part, *taker, *why);
      } else {
        ++untaken;
      }
    }
  }
  const auto asked = release_spare(step, job);
  job.vacancies = static_cast<std::uint32_t>(untaken - std::min(untaken, asked));
  // Also when it lacked them before: who could take a place changes with the round.
  step.state.queue.is_stale = step.state.queue.is_stale || job.vacancies > 0;
}

std::vector<SiteIndex> replacements(const Step& step, Job& job) {
  std::vector<SiteId> line;
  for (const auto& [id, part] : job.parts) {
    if (!part.row.claimed && may_take_place(step, job, part)) {
      line.push_back(id);
    }
  }
  sort_by_preference(step.state, job, line);
  std::vector<SiteIndex> sites;
  for (const auto& id : line) {
    sites.push_back(step.state.sites.at(id).index);
  }
  std::set<SiteIndex> in_the_job;
  for (const auto& [id, part] : job.parts) {
    in_the_job.insert(step.state.sites.at(id).index);
  }
  for (const auto index : job.candidates.eligible()) {
    if (!in_the_job.contains(index)) {
      sites.push_back(index);
    }
  }
  return sites;
}

bool may_join(const Step& step, const Job& job) {
  const auto round = job.rounds.rbegin()->first;
  const auto sites = in_turn(step.state, job, round);
  return std::any_of(sites.begin(), sites.end(),
                     [&job](const SiteId& site) { return lacks_task(job, site); });
}

void join_open_round(Step& step, Job& job) {
  if (!job.runs()) {
    return;
  }
  if (rules_of(job).is_buffered) {
    keep_training(step, job);
    return;
  }
  const auto& round = job.rounds.rbegin()->second;
  if (round.round == 0 || round.state != RoundState::training) {
    return;
  }
  std::size_t answers = 0;
  for (const auto& [key, task] : job.tasks) {
    const bool counts =
        task.row.state == TaskState::done || (is_open(task) && !is_stalled(step, job, task));
    answers += key.round == round.round && key.kind == task_in(job, key.round) && counts ? 1 : 0;
  }
  const auto asked = sites_asked(job);
  const bool has_all = round_answers(job, round.round).size() >= updates_wanted(job);
  if (answers >= asked || has_all) {
    return;
  }
  for (const auto& site : in_turn(step.state, job, round.round)) {
    if (answers < asked && lacks_task(job, site)) {
      tell_drawn(step, job, site);
      open_round_task(step, job, round.round, site);
      ++answers;
    }
  }
}

void open_round_task(Step& step, Job& job, Round round, const SiteId& site) {
  auto& task = open_task(step, job, round, task_in(job, round), site);
  if (job.parts.at(site).row.silent) {
    task.last_progress -= job.spec().stall_window;
  }
}

void heard_from(Step& step, Job& job, const SiteId& site) {
  const auto found = job.parts.find(site);
  if (found == job.parts.end() || !found->second.row.silent) {
    return;
  }
  auto& part = found->second;
  part.row.silent = false;
  step.save(part);
  JobEvent event;
  event.kind = JobEventKind::site_returned;
  event.site = site.str();
  event.text = fmt::format("{} is back{}", site.str(),
                           part.row.has_place ? "" : "; its place is taken, it stands by");
  step.tell(job, std::move(event));
  fill_places(step, job);
  join_open_round(step, job);
}

std::size_t within_reach(const Step& step, const Job& job) {
  std::size_t reached = 0;
  std::size_t vacant = 0;  // places that their holders cannot win back in this round
  std::size_t others = 0;
  const auto round = job.rounds.rbegin()->first;
  const auto buffer = rules_of(job).is_buffered ? buffer_of(job, round) : Buffer();
  for (const auto& [id, part] : job.parts) {
    if (buffer.sites.contains(id)) {
      ++reached;
      continue;
    }
    const auto* task = task_of(job, id);
    const bool has_settled = task != nullptr && task->row.state != TaskState::lost;
    const bool is_out =
        has_failed(task) || (part.row.enrolment == Enrolment::declined && !has_settled);
    if (is_out) {
      vacant += vacancy(step, job, part) ? 1 : 0;
    } else if (has_settled || (part.row.has_place && !rests(job, part, round))) {
      ++reached;
    } else if (!part.row.has_place) {
      ++others;
    }
  }
  if (vacant == 0 || !job.spec().sites.replace) {
    return reached;
  }
  for (const auto& [id, site] : step.state.sites) {
    others += !job.parts.contains(id) && fits(job.spec(), site, *step.state.evaluator) ? 1 : 0;
  }
  return reached + std::min(vacant, others);
}

}  // namespace entente::broker
