#include "broker/core/waiting.h"

#include <fmt/format.h>

#include "broker/core/claims.h"

namespace entente::broker {
namespace {

constexpr Millis kTellEvery = std::chrono::minutes{1};

}  // namespace

void on_job_waits(Step& step, const SiteId& site, const msg::JobWaits& waits) {
  const auto found = step.state.jobs.find(waits.job);
  if (found == step.state.jobs.end() || found->second.ended()) {
    step.send(site, msg::JobClosed{waits.job, "the job has ended"});
    return;
  }
  Job& job = found->second;
  const auto entry = job.parts.find(site);
  if (entry == job.parts.end() || waits.spec_digest != job.row.spec_digest) {
    return;
  }
  Part& part = entry->second;
  if (part.row.enrolment == Enrolment::declined || part.row.reason == waits.reason) {
    return;
  }
  part.row.reason = waits.reason;
  step.save(part);
  // Whoever was asked anew keeps its place in a running job, and the slot with it.
  if (!waits.reason.empty() && is_thinking(part) && !(job.runs() && part.row.has_place)) {
    release(step, job, part);
  }
  const bool is_due = !part.wait_told_at || step.now.monotonic - *part.wait_told_at >= kTellEvery;
  if (waits.reason.empty() || !is_due) {
    return;
  }
  part.wait_told_at = step.now.monotonic;
  JobEvent event;
  event.kind = JobEventKind::site_waits;
  event.round = job.rounds.empty() ? 0 : job.rounds.rbegin()->first;
  event.site = site.str();
  event.text = fmt::format("{} waits: {}", site.str(), waits.reason);
  step.tell(job, std::move(event));
}

}  // namespace entente::broker
