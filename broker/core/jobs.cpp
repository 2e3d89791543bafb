#include "broker/core/jobs.h"

#include <fmt/format.h>

#include <algorithm>

#include "broker/core/claims.h"
#include "broker/core/cohort.h"
#include "broker/core/files.h"
#include "broker/core/following.h"
#include "broker/core/leftovers.h"
#include "broker/core/rounds.h"
#include "broker/core/tasks.h"
#include "common/base/check.h"
#include "common/domain/brought_files.h"
#include "common/domain/site_tensors.h"

namespace entente::broker {
namespace {

std::string object(const Job& job) { return "job/" + job.id().str(); }

// "<name>-<n>", n one more than the largest in use.
JobId next_job_id(const State& state, const std::string& name) {
  std::uint64_t largest = 0;
  const auto prefix = name + "-";
  for (const auto& [id, job] : state.jobs) {
    if (job.spec().name != name || !id.str().starts_with(prefix)) {
      continue;
    }
    std::uint64_t number = 0;
    for (const char digit : id.str().substr(prefix.size())) {
      number = number * 10 + static_cast<std::uint64_t>(digit - '0');
    }
    largest = std::max(largest, number);
  }
  const auto id = JobId::parse(prefix + std::to_string(largest + 1));
  ENTENTE_CHECK(id.has_value());  // validate() leaves room for the number
  return *id;
}

// Whether sites.max has room for one more site that is not mandatory. A mandatory site's place is
// kept for it, wherever it is.
bool has_room(const Job& job) {
  const auto& sites = job.spec().sites;
  const auto others = std::count_if(job.parts.begin(), job.parts.end(), [&job](const auto& entry) {
    return entry.second.row.claimed && !is_mandatory(job, entry.first);
  });
  return sites.max == 0 || sites.mandatory.size() + static_cast<std::size_t>(others) < sites.max;
}

void close_for_site(Step& step, Job& job, Part& part) {
  if (part.row.told_closed || part.row.enrolment == Enrolment::declined) {
    return;
  }
  if (step.send(part.row.site, msg::JobClosed{job.id(), job.row.reason})) {
    part.row.told_closed = true;
    step.save(part);
  }
}

void end(Step& step, Job& job, JobTrigger trigger, JobEventKind kind, const std::string& reason) {
  const auto updates = updates_at_hand(job);
  step.move(job, trigger, reason);
  for (auto& [key, task] : job.tasks) {
    if (is_open(task)) {
      lose_task(step, job, task, "the job has ended");
    }
  }
  JobEvent event;
  event.kind = kind;
  event.text = fmt::format("job {} {}{}{}", job.id().str(), to_string(job.row.state),
                           reason.empty() ? "" : ": ", reason);
  step.tell(job, std::move(event));
  for (auto& [id, part] : job.parts) {
    close_for_site(step, job, part);
  }
  release_all(step, job);
  job.wait.reset();
  job.gives_way_to.reset();
  step.state.queue.is_stale = true;
  job.tasks.clear();
  drop_unnamed(step, updates);
  drop_last_server_state(step, job);
  drop_models(step, job);
  drop_files(step, job);
  std::erase_if(step.state.watchers, [&job](const Watcher& w) { return w.job == job.id(); });
}

// Whether an acceptance is of use, now or later.
bool is_welcome(const Job& job, const Part& part) {
  return job.spec().sites.replace || part.row.claimed ||
         (!job.runs() && (is_mandatory(job, part.row.site) || has_room(job)));
}

std::string answer_text(const Job& job, const SiteId& site, const msg::JobReply& reply,
                        bool is_turned_away) {
  const auto& part = job.parts.at(site).row;
  if (reply.decline) {
    return fmt::format("{} declined: {}", site.str(), part.reason);
  }
  if (is_turned_away) {
    return fmt::format("{} is left out: {}", site.str(), part.reason);
  }
  return fmt::format("{} accepted{}", site.str(),
                     job.runs() && !part.has_place ? " and stands by" : "");
}

// A site that has accepted takes its word back: its people, or its policy, have changed their mind.
void withdraw(Step& step, Job& job, Part& part, const Refusal& why) {
  const auto& site = part.row.site;
  part.row.enrolment = Enrolment::declined;
  part.row.reason = why.message;
  step.save(part);
  release(step, job, part);
  step.audit("site/" + site.str(), "job.withdraw", object(job), why.message);
  JobEvent event;
  event.kind = JobEventKind::site_declined;
  event.round = job.rounds.empty() ? 0 : job.rounds.rbegin()->first;
  event.site = site.str();
  event.text = fmt::format("{} takes part no longer: {}", site.str(), why.message);
  step.tell(job, std::move(event));
  fail_tasks_of(step, job, site, why.message);
  step.state.queue.is_stale = true;
  advance(step, job);
  drop_models(step, job);
}

}  // namespace

void set_layout(Job& job, const JobSpec& spec, TensorLayout model) {
  job.update_layout = std::make_shared<const TensorLayout>(
      spec.predict ? outputs_layout(spec) : update_layout(spec, model));
  job.layout = std::make_shared<const TensorLayout>(std::move(model));
}

Job& admit(Step& step, const Identity& coordinator, const JobSpec& spec, const Digest& digest,
           TensorLayout layout, const std::string& token) {
  const auto id = next_job_id(step.state, spec.name);
  Job& job = step.state.jobs[id];
  job.row.job = id;
  job.row.coordinator = coordinator.name;
  job.row.spec = spec;
  job.row.spec_digest = digest;
  job.row.token = token;
  job.row.submitted_unix_ms = step.now.unix_ms;
  job.row.number = step.state.jobs.size();
  set_layout(job, spec, std::move(layout));
  if (!is_held_up(step.state, job)) {
    job.deadline = step.now.monotonic + spec.deadline;
  }
  step.save(job);
  step.audit(coordinator.path(), "job.submit", object(job), digest.hex());
  JobEvent event;
  event.kind = JobEventKind::submitted;
  const bool says_rounds = parts_of(spec.kind).rounds != Need::absent;
  event.text = fmt::format("{} submitted by {}{}", id.str(), coordinator.name,
                           says_rounds ? fmt::format(", {} rounds", spec.rounds) : "");
  step.tell(job, std::move(event));
  step.state.queue.is_stale = true;
  return job;
}

void start(Step& step, Job& job) {
  const bool has_run = places(job) > 0;
  step.move(job, JobTrigger::sites_found, "");
  give_out_places(step, job);
  JobEvent event;
  event.kind = JobEventKind::started;
  event.text = fmt::format("{} with {} sites", has_run ? "goes on" : "started", places(job));
  step.tell(job, std::move(event));
  start_rounds(step, job);
}

void repeat_offer(Step& step, const Job& job, const SiteId& site) {
  step.send(site, msg::JobOffer{job.id(), job.row.coordinator, job.spec(), job.row.spec_digest});
}

void ask_anew(Step& step, Job& job, const SiteId& site) {
  auto& part = job.parts.at(site);
  if (part.row.enrolment != Enrolment::accepted) {
    return;
  }
  part.row.enrolment = Enrolment::offered;
  part.offered_at = step.now.monotonic;
  step.save(part);
  if (!step.state.sites.at(site).row.draining) {
    repeat_offer(step, job, site);
  }
}

std::string declined_sites(const Job& job) {
  std::string text;
  for (const auto& [id, part] : job.parts) {
    if (part.row.enrolment == Enrolment::declined) {
      text += fmt::format("\n  declined  {}: {}", id.str(), part.row.reason);
    }
  }
  return text;
}

void on_job_reply(Step& step, const SiteId& site, const msg::JobReply& reply) {
  const auto found = step.state.jobs.find(reply.job);
  if (found == step.state.jobs.end() || found->second.ended()) {
    step.send(site, msg::JobClosed{reply.job, "the job has ended"});
    return;
  }
  Job& job = found->second;
  const auto part = job.parts.find(site);
  if (part == job.parts.end() || part->second.row.enrolment == Enrolment::declined) {
    if (!reply.decline) {
      step.send(site, msg::JobClosed{reply.job, "the job goes on without this site"});
    }
    return;
  }
  if (reply.spec_digest != job.row.spec_digest) {
    return;
  }
  if (part->second.row.enrolment == Enrolment::accepted) {
    if (reply.decline) {
      withdraw(step, job, part->second, *reply.decline);
    }
    return;
  }
  const bool is_turned_away = !reply.decline && !is_welcome(job, part->second);
  auto& row = part->second.row;
  if (reply.decline) {
    release(step, job, part->second);
  }
  row.enrolment = reply.decline || is_turned_away ? Enrolment::declined : Enrolment::accepted;
  row.reason = reply.decline    ? reply.decline->message
               : is_turned_away ? "answered when the job had started or its places were taken"
                                : "";
  step.save(part->second);
  step.audit("site/" + site.str(), reply.decline ? "job.decline" : "job.accept", object(job),
             row.reason);
  JobEvent event;
  const bool is_in_the_job = row.enrolment == Enrolment::accepted;
  event.kind = is_in_the_job ? JobEventKind::site_accepted : JobEventKind::site_declined;
  event.site = site.str();
  event.text = answer_text(job, site, reply, is_turned_away);
  step.tell(job, std::move(event));
  if (is_turned_away) {
    step.send(site, msg::JobClosed{job.id(), row.reason});
  }
  step.state.queue.is_stale = true;
  advance(step, job);
}

void complete(Step& step, Job& job) {
  end(step, job, JobTrigger::rounds_finished, JobEventKind::completed, "");
  step.audit("broker", "job.complete", object(job));
}

void stop_early(Step& step, Job& job, std::string reason) {
  end(step, job, JobTrigger::stopped_early, JobEventKind::completed, reason);
  step.audit("broker", "job.complete", object(job), std::move(reason));
}

void fail(Step& step, Job& job, std::string reason) {
  end(step, job, JobTrigger::cannot_go_on, JobEventKind::failed, reason);
  step.audit("broker", "job.fail", object(job), std::move(reason));
}

void abort(Step& step, Job& job, const std::string& actor, const std::string& reason) {
  end(step, job, JobTrigger::abort_requested, JobEventKind::aborted,
      reason.empty() ? "by " + actor : fmt::format("by {}: {}", actor, reason));
  step.audit(actor, "job.abort", object(job), reason);
}

}  // namespace entente::broker
