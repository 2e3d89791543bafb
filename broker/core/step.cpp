#include "broker/core/step.h"

#include "broker/core/views.h"
#include "common/base/check.h"
#include "common/base/prose.h"

namespace entente::broker {

void Step::save(Job& job) {
  if (job.deadline) {
    job.row.elapsed = job.spec().deadline - (*job.deadline - now.monotonic);
  }
  job.saved_at = now.monotonic;
  effects_.rows.emplace_back(job.row);
}

bool Step::send(const SiteId& site, msg::Control message) {
  const auto found = state.sites.find(site);
  if (found == state.sites.end() || !found->second.session || !found->second.advertised) {
    return false;
  }
  send(*found->second.session, std::move(message));
  return true;
}

void Step::tell(Job& job, JobEvent event) {
  event.seq = ++job.row.last_event_seq;
  event.unix_ms = now.unix_ms;
  effects_.rows.emplace_back(EventRow{job.id(), event});
  save(job);
  for (auto& watcher : state.watchers) {
    if (watcher.job == job.id()) {
      send(watcher.session,
           msg::JobUpdate{watcher.request, summarise(job), {event}, site_views(state, job)});
      watcher.last_progress_sent = now.monotonic;
      watcher.progress_waits = false;
    }
  }
}

void Step::audit(std::string actor, std::string action, std::string object,
                 std::string_view detail) {
  effects_.rows.emplace_back(
      AuditRow{now.unix_ms, std::move(actor), std::move(action), std::move(object), prose(detail)});
}

void Step::stop_clock(Job& job) {
  save(job);
  job.deadline.reset();
}

void Step::start_clock(Job& job) {
  job.deadline = now.monotonic + job.spec().deadline - job.row.elapsed;
}

void Step::move(Job& job, JobTrigger trigger, std::string reason) {
  const auto to = next(job.row.state, trigger);
  ENTENTE_CHECK(to.has_value());
  job.row.state = *to;
  job.row.reason = std::move(reason);
  save(job);
}

}  // namespace entente::broker
