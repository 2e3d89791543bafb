#include "broker/core/views.h"

#include <algorithm>
#include <iterator>

#include "broker/core/buffering.h"
#include "broker/core/kinds.h"
#include "broker/core/selection.h"
#include "broker/core/statistics.h"

namespace entente::broker {
namespace {

// What one answer holds of a long job: below a control message's bound.
constexpr std::size_t kRoundsMax = 1000;

// The task a site is busy with, else the one it finished last in this round.
const Task* current_task(const Job& job, const SiteId& site) {
  const Task* current = nullptr;
  for (const auto& [key, task] : job.tasks) {
    if (key.site == site && (current == nullptr || is_open(task) || !is_open(*current))) {
      current = &task;
    }
  }
  return current;
}

}  // namespace

JobSummary summarise(const Job& job) {
  JobSummary summary;
  summary.id = job.id();
  summary.kind = job.spec().kind;
  summary.state = job.row.state;
  summary.coordinator = job.row.coordinator;
  summary.rounds = rounds_of(job);
  summary.submitted_unix_ms = job.row.submitted_unix_ms;
  summary.reason = job.wait ? sentence(*job.wait)
                   : job.gives_way_to
                       ? "gives way to " + job.gives_way_to->str() + " after this round"
                       : job.row.reason;
  for (const auto& [number, round] : job.rounds) {
    if (round.state == RoundState::done) {
      summary.round = number;
    }
  }
  return summary;
}

std::vector<JobSiteView> site_views(const State& state, const Job& job) {
  std::vector<JobSiteView> views;
  views.reserve(job.parts.size());
  for (const auto& [id, part] : job.parts) {
    JobSiteView site;
    site.site = id;
    site.enrolment = part.row.enrolment;
    site.reason = part.row.reason;
    const auto found = state.sites.find(id);
    site.connected = found != state.sites.end() && found->second.session.has_value();
    site.updates_accepted = part.row.updates_accepted;
    site.bytes_out = part.row.bytes_out;
    site.tensors_out = part.row.tensors_out;
    site.examples = part.row.examples;
    const auto* task = current_task(job, id);
    const bool rests = task != nullptr && is_open(*task) && !job.runs() && !task->announced;
    if (task != nullptr && !rests) {
      site.task = task->row.key.kind;
      const bool is_pending = task->row.state == TaskState::pending;
      site.task_state = is_pending && task->running ? TaskState::running : task->row.state;
      site.progress = task->progress;
    }
    site.sits_out = sits_out(job, id);
    site.evaluate_metrics = part.row.evaluate_metrics;
    site.evaluation_examples = part.row.evaluation_examples;
    site.evaluated_round = part.row.evaluated_round;
    site.stands_by = job.runs() && part.row.enrolment == Enrolment::accepted && !part.row.has_place;
    views.push_back(std::move(site));
  }
  return views;
}

JobView view(const State& state, const Job& job) {
  JobView view;
  view.summary = summarise(job);
  view.spec = job.spec();
  view.spec_digest = job.row.spec_digest;
  view.sites = site_views(state, job);
  const auto skip = job.rounds.size() - std::min(job.rounds.size(), kRoundsMax);
  auto newest = std::next(job.rounds.begin(), static_cast<std::ptrdiff_t>(skip));
  for (; newest != job.rounds.end(); ++newest) {
    const auto& [number, round] = *newest;
    const bool fills_up = rules_of(job).is_buffered && round.state == RoundState::training;
    const auto updates =
        fills_up ? static_cast<std::uint32_t>(buffer_of(job, number).updates) : round.updates;
    view.rounds.push_back({number, round.state, updates, round.train_metrics,
                           round.evaluate_metrics, round.model, round.model_removed,
                           round.evaluated_at, round.evaluation_examples, round.at_sites,
                           round.model_of});
  }
  view.statistics = all_statistics(job);
  return view;
}

SiteView view(const State& state, const Site& site) {
  SiteView view;
  view.site = site.row.site;
  view.connected = site.session.has_value();
  view.last_seen_unix_ms = site.row.last_seen_unix_ms;
  view.advert = site.row.advert;
  view.draining = site.row.draining;
  view.drain_reason = site.row.drain_reason;
  for (const auto& [id, job] : state.jobs) {
    const auto part = job.parts.find(site.row.site);
    if (!job.ended() && part != job.parts.end() &&
        part->second.row.enrolment == Enrolment::accepted) {
      view.jobs.push_back(id);
    }
    // Of a job that rests the site has none to finish.
    view.open_tasks +=
        !job.runs() ? 0
                    : static_cast<std::uint32_t>(std::count_if(
                          job.tasks.begin(), job.tasks.end(), [&site](const auto& entry) {
                            return entry.first.site == site.row.site && is_open(entry.second);
                          }));
  }
  return view;
}

}  // namespace entente::broker
