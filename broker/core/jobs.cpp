#include "broker/core/jobs.h"

#include <fmt/format.h>

#include <algorithm>

#include "broker/core/cohort.h"
#include "broker/core/matchmaker.h"
#include "broker/core/rounds.h"
#include "broker/core/tasks.h"
#include "common/base/check.h"

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

bool is_in(const std::vector<SiteId>& list, const SiteId& site) {
  return std::find(list.begin(), list.end(), site) != list.end();
}

template <class Predicate>
std::size_t count_parts(const Job& job, Predicate holds) {
  return static_cast<std::size_t>(
      std::count_if(job.parts.begin(), job.parts.end(),
                    [&holds](const auto& entry) { return holds(entry.second); }));
}

std::size_t count(const Job& job, Enrolment enrolment) {
  return count_parts(job, [enrolment](const Part& p) { return p.row.enrolment == enrolment; });
}

// Has accepted, and is not draining.
bool is_ready(const State& state, const Part& part) {
  return part.row.enrolment == Enrolment::accepted && !state.sites.at(part.row.site).row.draining;
}

// Whether sites.max has room for one more site that is not mandatory, beside those that are not and
// for which `has_place` holds. A mandatory site's place is kept for it, wherever it is.
template <class Predicate>
bool has_room(const Job& job, Predicate has_place) {
  const auto& sites = job.spec().sites;
  const auto others = count_parts(
      job, [&](const Part& part) { return !is_mandatory(job, part.row.site) && has_place(part); });
  return sites.max == 0 || sites.mandatory.size() + others < sites.max;
}

// Asks the next sites, up to sites.max accepted or asked at once.
void ask_sites(Step& step, Job& job, const std::vector<SiteId>& eligible) {
  const auto has_place = [&](const Part& part) {
    return is_ready(step.state, part) || may_still_answer(step, job, part);
  };
  for (const auto& id : eligible) {
    const auto& site = step.state.sites.at(id);
    if (!job.parts.contains(id) && site.advertised && !site.row.draining &&
        (is_mandatory(job, id) || has_room(job, has_place))) {
      offer_job(step, job, id);
    }
  }
}

// Sites that do not fit by what the broker knows of them, and that have just connected and are
// about to say what they have.
std::size_t about_to_advertise(const State& state, const Match& match) {
  return static_cast<std::size_t>(
      std::count_if(match.excluded.begin(), match.excluded.end(), [&](const Exclusion& exclusion) {
        const auto& site = state.sites.at(exclusion.site);
        return site.session && !site.advertised;
      }));
}

// Why the job can no longer start; nothing while it may.
std::optional<std::string> dead_end(const State& state, const Job& job, const Match& match) {
  std::size_t candidates = about_to_advertise(state, match);
  for (const auto& id : match.eligible) {
    const auto part = job.parts.find(id);
    const bool declined =
        part != job.parts.end() && part->second.row.enrolment == Enrolment::declined;
    candidates += declined ? 0 : 1;
    if (declined && is_in(job.spec().sites.mandatory, id)) {
      return fmt::format("mandatory site \"{}\" declined{}", id.str(), declined_sites(job));
    }
  }
  if (count(job, Enrolment::declined) > 0 && candidates < job.spec().sites.min) {
    const auto excluded = describe(match.excluded);
    return fmt::format("{} of {} required sites are left{}{}{}", candidates, job.spec().sites.min,
                       declined_sites(job), excluded.empty() ? "" : "\n", excluded);
  }
  return std::nullopt;
}

bool is_waiting_for_answer(const Step& step, const Job& job) {
  return std::any_of(job.parts.begin(), job.parts.end(),
                     [&](const auto& entry) { return may_still_answer(step, job, entry.second); });
}

std::size_t ready_sites(const State& state, const Job& job) {
  return count_parts(job, [&state](const Part& part) { return is_ready(state, part); });
}

bool has_enough_sites(const State& state, const Job& job) {
  const auto& sites = job.spec().sites;
  return ready_sites(state, job) >= sites.min &&
         std::all_of(sites.mandatory.begin(), sites.mandatory.end(), [&](const SiteId& id) {
           const auto part = job.parts.find(id);
           return part != job.parts.end() && is_ready(state, part->second);
         });
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
  job.tasks.clear();
  drop_last_server_state(step, job);
  std::erase_if(step.state.watchers, [&job](const Watcher& w) { return w.job == job.id(); });
}

// Whether an acceptance is of use, now or later.
bool is_welcome(const Step& step, const Job& job, const SiteId& site) {
  if (job.spec().sites.replace) {
    return true;
  }
  return job.row.state == JobState::matching &&
         (is_mandatory(job, site) ||
          has_room(job, [&step](const Part& part) { return is_ready(step.state, part); }));
}

std::string answer_text(const Job& job, const SiteId& site, const msg::JobReply& reply,
                        bool is_turned_away) {
  const auto& reason = job.parts.at(site).row.reason;
  if (reply.decline) {
    return fmt::format("{} declined: {}", site.str(), reason);
  }
  if (is_turned_away) {
    return fmt::format("{} is left out: {}", site.str(), reason);
  }
  return fmt::format("{} accepted{}", site.str(),
                     job.row.state == JobState::running ? " and stands by" : "");
}

}  // namespace

Job& admit(Step& step, const Identity& coordinator, const JobSpec& spec, const Digest& digest,
           std::shared_ptr<const TensorLayout> layout) {
  const auto id = next_job_id(step.state, spec.name);
  Job& job = step.state.jobs[id];
  job.row.job = id;
  job.row.coordinator = coordinator.name;
  job.row.spec = spec;
  job.row.spec_digest = digest;
  job.row.submitted_unix_ms = step.now.unix_ms;
  job.layout = std::move(layout);
  job.deadline = step.now.monotonic + spec.deadline;
  step.save(job);
  step.audit(coordinator.path(), "job.submit", object(job), digest.hex());
  step.move(job, JobTrigger::admitted, "looking for sites");
  JobEvent event;
  event.kind = JobEventKind::submitted;
  event.text =
      fmt::format("{} submitted by {}, {} rounds", id.str(), coordinator.name, spec.rounds);
  step.tell(job, std::move(event));
  return job;
}

void look_for_sites(Step& step, Job& job) {
  if (job.row.state != JobState::matching) {
    return;
  }
  const auto candidates = match(job.spec(), step.state.sites);
  if (auto reason = dead_end(step.state, job, candidates)) {
    fail(step, job, std::move(*reason));
    return;
  }
  ask_sites(step, job, candidates.eligible);
  if (!has_enough_sites(step.state, job)) {
    const auto reason = fmt::format("waiting for sites: {} accepted, {} asked, {} needed",
                                    ready_sites(step.state, job), count(job, Enrolment::offered),
                                    job.spec().sites.min);
    if (job.row.reason != reason) {
      job.row.reason = reason;
      step.save(job);
    }
    return;
  }
  if (is_waiting_for_answer(step, job)) {
    return;
  }
  step.move(job, JobTrigger::sites_found, "");
  give_out_places(step, job);
  JobEvent event;
  event.kind = JobEventKind::started;
  event.text = fmt::format("started with {} sites", places(job));
  step.tell(job, std::move(event));
  start_rounds(step, job);
}

void offer_job(Step& step, Job& job, const SiteId& site) {
  Part part;
  part.row.job = job.id();
  part.row.site = site;
  part.offered_at = step.now.monotonic;
  step.save(part);
  job.parts.emplace(site, std::move(part));
  repeat_offer(step, job, site);
}

void repeat_offer(Step& step, const Job& job, const SiteId& site) {
  step.send(site, msg::JobOffer{job.id(), job.row.coordinator, job.spec(), job.row.spec_digest});
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
  if (part->second.row.enrolment != Enrolment::offered ||
      reply.spec_digest != job.row.spec_digest) {
    return;
  }
  const bool is_turned_away = !reply.decline && !is_welcome(step, job, site);
  auto& row = part->second.row;
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
  look_for_sites(step, job);
  advance(step, job);
}

void complete(Step& step, Job& job) {
  end(step, job, JobTrigger::rounds_finished, JobEventKind::completed, "");
  step.audit("broker", "job.complete", object(job));
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
