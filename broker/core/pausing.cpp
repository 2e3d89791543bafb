#include "broker/core/pausing.h"

#include <fmt/format.h>

#include "broker/core/claims.h"
#include "broker/core/following.h"
#include "broker/core/jobs.h"
#include "broker/core/rounds.h"

namespace entente::broker {
namespace {

void tell(Step& step, Job& job, JobEventKind kind, std::string text) {
  JobEvent event;
  event.kind = kind;
  event.round = job.rounds.empty() ? 0 : job.rounds.rbegin()->first;
  event.text = std::move(text);
  step.tell(job, std::move(event));
}

// Stops the sites and gives their slots back. What a site has announced may still arrive.
void lay_down(Step& step, Job& job) {
  for (auto& [key, task] : job.tasks) {
    if (is_open(task) && !task.announced) {
      task.running = false;
      task.training.reset();
      task.progress = {};
    }
  }
  for (const auto& [id, part] : job.parts) {
    if (part.row.enrolment == Enrolment::accepted) {
      repeat_pause(step, job, id);
    }
  }
  release_all(step, job);
  job.vacancies = 0;
  job.wait.reset();
  job.gives_way_to.reset();
  step.state.queue.is_stale = true;
}

}  // namespace

void pause(Step& step, Job& job, const std::string& actor, const std::string& reason) {
  const auto words = reason.empty() ? "by " + actor : fmt::format("by {}: {}", actor, reason);
  const bool was_paused = job.row.state == JobState::paused;
  if (was_paused && (reason.empty() || words == job.row.reason)) {
    return;
  }
  if (was_paused) {
    job.row.reason = words;
  } else {
    step.stop_clock(job);
    step.move(job, JobTrigger::pause_requested, words);
    lay_down(step, job);
  }
  step.audit(actor, "job.pause", "job/" + job.id().str(), reason);
  tell(step, job, JobEventKind::paused, fmt::format("paused {}", words));
}

void resume(Step& step, Job& job, const std::string& actor) {
  if (job.row.state != JobState::paused) {
    return;
  }
  step.audit(actor, "job.resume", "job/" + job.id().str());
  tell(step, job, JobEventKind::resumed, fmt::format("resumed by {}", actor));
  if (!is_held_up(step.state, job)) {
    step.start_clock(job);
  }
  if (is_finished(job)) {
    complete(step, job);
    return;
  }
  step.move(job, JobTrigger::resume_requested, "");
  // Who had not answered when it was paused, and has come back meanwhile, was not asked again.
  for (const auto& [id, part] : job.parts) {
    if (part.row.enrolment == Enrolment::offered && !step.state.sites.at(id).row.draining) {
      repeat_offer(step, job, id);
    }
  }
  step.state.queue.is_stale = true;
}

bool give_way(Step& step, Job& job) {
  if (!job.gives_way_to) {
    return false;
  }
  const auto other = *job.gives_way_to;
  const auto round = job.rounds.rbegin()->first;
  step.move(job, JobTrigger::gave_way, "");
  lay_down(step, job);
  step.audit("broker", "job.give_way", "job/" + job.id().str(), "job/" + other.str());
  tell(step, job, JobEventKind::queued,
       fmt::format("back in the queue after round {}: it gives way to {}, of a higher priority",
                   round, other.str()));
  return true;
}

void repeat_pause(Step& step, const Job& job, const SiteId& site) {
  const auto& reason = job.row.reason;
  step.send(site, msg::JobPaused{job.id(), job.row.state == JobState::paused
                                               ? "paused " + reason
                                               : "the job waits in the queue"});
}

}  // namespace entente::broker
