#include "broker/core/draining.h"

#include <fmt/format.h>

#include "broker/core/cohort.h"
#include "broker/core/rounds.h"
#include "broker/core/sessions.h"
#include "broker/core/tasks.h"

namespace entente::broker {
namespace {

void tell_jobs(Step& step, const Site& site, JobEventKind kind, const std::string& text) {
  for (auto& [id, job] : step.state.jobs) {
    const auto part = job.parts.find(site.row.site);
    if (!job.ended() && part != job.parts.end() &&
        part->second.row.enrolment == Enrolment::accepted) {
      JobEvent event;
      event.kind = kind;
      event.site = site.row.site.str();
      event.text = text;
      step.tell(job, std::move(event));
    }
  }
}

void look_at_jobs(Step& step) {
  step.state.queue.is_stale = true;
  for (auto& [id, job] : step.state.jobs) {
    advance(step, job);
  }
}

}  // namespace

void drain(Step& step, Site& site, const std::string& actor, const std::string& reason) {
  const auto name = site.row.site.str();
  const bool was_draining = site.row.draining;
  if (was_draining && (reason.empty() || reason == site.row.drain_reason)) {
    return;
  }
  site.row.draining = true;
  site.row.drain_reason = reason;
  step.save(site);
  step.audit(actor, "site.drain", "site/" + name, reason);
  if (!was_draining) {
    tell_jobs(step, site, JobEventKind::site_draining,
              fmt::format("{} is draining{}{}: it finishes what it has and gets no new tasks", name,
                          reason.empty() ? "" : ", ", reason));
  }
  look_at_jobs(step);
}

void resume(Step& step, Site& site, const std::string& actor) {
  if (!site.row.draining) {
    return;
  }
  const auto name = site.row.site.str();
  site.row.draining = false;
  site.row.drain_reason.clear();
  step.save(site);
  step.audit(actor, "site.resume", "site/" + name);
  tell_jobs(step, site, JobEventKind::site_returned, fmt::format("{} is no longer draining", name));
  if (site.advertised) {
    catch_up(step, site);
  } else {
    look_at_jobs(step);
  }
}

void release_drained(Step& step, Job& job) {
  for (auto& [key, task] : job.tasks) {
    if (is_open(task) && is_stalled(step, job, task) &&
        step.state.sites.at(key.site).row.draining) {
      lose_task(step, job, task, stalled_for(job) + ", and the site is draining");
    }
  }
}

}  // namespace entente::broker
