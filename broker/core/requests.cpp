#include "broker/core/requests.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

#include "broker/core/draining.h"
#include "broker/core/explain.h"
#include "broker/core/files.h"
#include "broker/core/following.h"
#include "broker/core/jobs.h"
#include "broker/core/matchmaker.h"
#include "broker/core/pausing.h"
#include "broker/core/queue.h"
#include "broker/core/views.h"
#include "common/base/nearest.h"

namespace entente::broker {
namespace {

constexpr Millis kPushEvery{200};

// What one answer holds: below a control message's bound.
constexpr std::size_t kJobsMax = 1000;
constexpr std::size_t kReasonInListBytes = 200;

bool may_read(const Identity& who, const Job& job) {
  return who.role == Role::operator_ || who.role == Role::auditor ||
         (who.role == Role::coordinator && who.name == job.row.coordinator);
}

bool may_change(const Identity& who, const Job& job) {
  return may_read(who, job) && who.role != Role::auditor;
}

Refusal not_authorised(const Identity& who, std::string_view what) {
  return {"not_authorised", fmt::format("{} may not {}", who.path(), what),
          "use the kit of a coordinator or an operator of this consortium", Scope::job};
}

// Answers one request; one overload per kind.
class Answer {
 public:
  Answer(Step& step, const Session& session, std::uint64_t request)
      : step_(step), session_(session), request_(request) {}

  void operator()(const msg::SubmitJob&) {}  // handled by submit(), which needs the digest

  void submit(const msg::SubmitJob& submit, const Digest& digest) {
    // First: that the job could no longer be submitted does not undo it.
    if (const auto* job = made_before(submit.token)) {
      grant_files(step_, session_.identity, *job);
      return job->row.spec_digest == digest
                 ? reply(summarise(*job))
                 : reply(Refusal{"token_taken",
                                 fmt::format("the token \"{}\" has been used for {}, which is "
                                             "another job",
                                             submit.token, job->id().str()),
                                 "submit with another token, or with none"});
    }
    auto model = check(submit.spec);
    if (!model) {
      return reply(model.error());
    }
    auto& job = admit(step_, session_.identity, submit.spec, digest, std::move(model->layout),
                      submit.token);
    grant_files(step_, session_.identity, job);
    run_queue(step_);
    reply(summarise(job));
  }

  void operator()(const msg::ExplainSpec& explain) {
    if (const auto model = check(explain.spec); !model) {
      return reply(model.error());
    }
    reply(explain_unsubmitted(step_, session_.identity.name, explain.spec));
  }

  void operator()(const msg::ExplainJob& request) {
    if (auto* job = find(request.job)) {
      reply(explain(step_, *job));
    }
  }

  void operator()(const msg::ListJobs& list) {
    const auto& who = session_.identity;
    std::vector<JobSummary> jobs;
    for (const auto& [id, job] : step_.state.jobs) {
      const bool is_wanted = (!list.state || *list.state == job.row.state) &&
                             (!list.mine || job.row.coordinator == who.name);
      if (is_wanted && may_read(who, job)) {
        jobs.push_back(summarise(job));
        auto& reason = jobs.back().reason;
        reason.resize(std::min({reason.size(), reason.find('\n'), kReasonInListBytes}));
      }
    }
    std::sort(jobs.begin(), jobs.end(), [](const JobSummary& a, const JobSummary& b) {
      return std::tie(a.submitted_unix_ms, a.id) < std::tie(b.submitted_unix_ms, b.id);
    });
    jobs.erase(jobs.begin(),
               jobs.end() - static_cast<std::ptrdiff_t>(std::min(jobs.size(), kJobsMax)));
    reply(std::move(jobs));
  }

  void operator()(const msg::ShowJob& show) {
    if (const auto* job = find(show.job)) {
      reply(view(step_.state, *job));
    }
  }

  void operator()(const msg::ListEvents& list) {
    if (const auto* job = find(list.job)) {
      step_.act(SendEventPage{session_.id, request_, job->id(), list.after_seq});
    }
  }

  void operator()(const msg::WatchJob& watch) {
    const auto* job = find(watch.job);
    if (job == nullptr) {
      return;
    }
    reply(msg::Done{});
    step_.act(SendEvents{session_.id, request_, summarise(*job), watch.after_seq,
                         job->row.last_event_seq});
    std::erase_if(step_.state.watchers, [&](const Watcher& watcher) {
      return watcher.session == session_.id && watcher.job == watch.job;
    });
    if (!job->ended()) {
      step_.state.watchers.push_back({session_.id, request_, watch.job, {}, true});
    }
  }

  void operator()(const msg::AbortJob& abort_job) {
    if (auto* job = find_to_change(abort_job.job, "abort")) {
      abort(step_, *job, session_.identity.path(), abort_job.reason);
      reply(msg::Done{});
    }
  }

  void operator()(const msg::PauseJob& request) {
    if (auto* job = find_to_change(request.job, "pause")) {
      pause(step_, *job, session_.identity.path(), request.reason);
      run_queue(step_);
      reply(summarise(*job));
    }
  }

  void operator()(const msg::ResumeJob& request) {
    if (auto* job = find_to_change(request.job, "resume")) {
      resume(step_, *job, session_.identity.path());
      run_queue(step_);
      reply(summarise(*job));
    }
  }

  void operator()(const msg::ListSites&) {
    std::vector<SiteView> sites;
    for (const auto& [id, site] : step_.state.sites) {
      sites.push_back(view(step_.state, site));
    }
    reply(std::move(sites));
  }

  void operator()(const msg::DrainSite& request) {
    if (auto* site = find_site(request.site, "drain")) {
      drain(step_, *site, session_.identity.path(), request.reason);
      reply(msg::Done{});
    }
  }

  void operator()(const msg::ResumeSite& request) {
    if (auto* site = find_site(request.site, "resume")) {
      resume(step_, *site, session_.identity.path());
      reply(msg::Done{});
    }
  }

  void operator()(const msg::ShowAudit& show) {
    if (show.job ? find(*show.job) == nullptr : !reads_audit("audit show")) {
      return;
    }
    step_.act(SendAudit{session_.id, request_, show});
  }

  void operator()(const msg::ReadAudit& read) {
    if (reads_audit("audit verify")) {
      step_.act(SendAudit{session_.id, request_, read});
    }
  }

  void operator()(const msg::ListModels& list) {
    const auto& who = session_.identity;
    if (list.job && find(*list.job) == nullptr) {
      return;
    }
    step_.act(SendModels{session_.id, request_, list.job, std::nullopt,
                         who.role == Role::coordinator ? who.name : ""});
  }

  void operator()(const msg::ShowModel& show) {
    const auto* job = find(show.job);
    if (job == nullptr) {
      return;
    }
    const auto* round = model_of(*job, show.version);
    if (round == nullptr) {
      return reply(Refusal{
          "model_unknown",
          show.version ? fmt::format("{} has no model version {}", job->id().str(), *show.version)
                       : fmt::format("{} has no model yet", job->id().str()),
          "see its progress with: entente job show " + job->id().str()});
    }
    if (!round->model_removed) {
      step_.act(GrantGet{session_.identity.path(), *round->model});
    }
    step_.act(SendModels{session_.id, request_, job->id(), round->round, ""});
  }

 private:
  // Whether the peer may submit such a job, and the job may ever start.
  Expected<ResolvedModel> check(const JobSpec& spec) {
    const auto& who = session_.identity;
    if (who.role != Role::coordinator && who.role != Role::operator_) {
      step_.audit(who.path(), "request.deny", "job", "submit");
      return tl::unexpected(not_authorised(who, "submit jobs"));
    }
    auto model = validate(spec);
    if (!model) {
      return model;
    }
    const auto is_visible = [&who](const Job& job) { return may_read(who, job); };
    for (auto refusal : {check_priority(spec), check_quota(spec), check_normalised(spec),
                         check_files(step_.state, who.name, spec),
                         check_followed(step_.state, spec, model->layout, is_visible),
                         find_impossibility(spec, step_.state)}) {
      if (refusal) {
        return tl::unexpected(std::move(*refusal));
      }
    }
    return model;
  }

  // The numbers are part of what its coordinator submits: the digest covers them.
  static std::optional<Refusal> check_normalised(const JobSpec& spec) {
    const auto& normalise = spec.train.normalise;
    if (!normalise || normalise->is_resolved()) {
      return std::nullopt;
    }
    return Refusal{"normalise_unresolved",
                   "train.normalise names a job of statistics and has none of its numbers",
                   "submit with: entente job submit, which looks them up", Scope::job};
  }

  // A coordinator that could go before the others would: raising a priority is for somebody who
  // sees all of them.
  std::optional<Refusal> check_priority(const JobSpec& spec) const {
    const auto max = step_.state.queue.settings.coordinator_priority_max;
    if (session_.identity.role == Role::operator_ || spec.priority <= max) {
      return std::nullopt;
    }
    return Refusal{
        "priority_too_high",
        fmt::format("priority is {}; a coordinator's jobs may have {} at most", spec.priority, max),
        "lower it, or ask an operator to submit the job", Scope::job};
  }

  std::optional<Refusal> check_quota(const JobSpec& spec) const {
    const auto& slots = step_.state.queue.settings.quota.slots;
    const auto needed = sites_needed(spec);
    if (!slots || needed <= *slots) {
      return std::nullopt;
    }
    return Refusal{
        "quota_exceeded",
        fmt::format("the job needs {} sites at once; a coordinator's quota is {}", needed, *slots),
        "lower sites.min, or ask the operator for a larger quotas.slots", Scope::job};
  }

  void reply(msg::ReplyBody body) {
    step_.send(session_.id, msg::Reply{request_, std::move(body)});
  }

  // This coordinator's job of that token, if there is one.
  const Job* made_before(const std::string& token) const {
    const auto found =
        std::find_if(step_.state.jobs.begin(), step_.state.jobs.end(), [&](const auto& entry) {
          const auto& row = entry.second.row;
          return row.token == token && row.coordinator == session_.identity.name;
        });
    return token.empty() || found == step_.state.jobs.end() ? nullptr : &found->second;
  }

  // Answers with the refusal itself when there is no such job for this peer. A job of somebody else
  // is as unknown as one that does not exist.
  Job* find(const JobId& id) {
    const auto found = step_.state.jobs.find(id);
    if (found != step_.state.jobs.end() && may_read(session_.identity, found->second)) {
      return &found->second;
    }
    std::vector<std::string> names;
    for (const auto& [other, job] : step_.state.jobs) {
      if (may_read(session_.identity, job)) {
        names.push_back(other.str());
      }
    }
    const auto near = nearest(id.str(), names);
    reply(Refusal{"job_unknown", fmt::format("there is no job \"{}\"", id.str()),
                  near ? fmt::format("did you mean \"{}\"?", *near)
                       : "list your jobs with: entente job list"});
    return nullptr;
  }

  // A job that the peer may abort, pause or resume, and that has not ended; answers with the
  // refusal otherwise.
  Job* find_to_change(const JobId& id, const std::string& what) {
    auto* job = find(id);
    if (job == nullptr) {
      return nullptr;
    }
    const auto& who = session_.identity;
    if (!may_change(who, *job)) {
      step_.audit(who.path(), "request.deny", "job/" + id.str(), what);
      reply(not_authorised(who, fmt::format("{} {}", what, id.str())));
      return nullptr;
    }
    if (job->ended()) {
      reply(Refusal{"job_ended",
                    fmt::format("{} has ended already: {}", id.str(), to_string(job->row.state)),
                    "submit it again with: entente job clone " + id.str()});
      return nullptr;
    }
    return job;
  }

  // Whether the peer may read the whole audit log; answers with the refusal otherwise.
  bool reads_audit(const std::string& what) {
    const auto& who = session_.identity;
    if (who.role == Role::auditor || who.role == Role::operator_) {
      return true;
    }
    step_.audit(who.path(), "request.deny", "audit", what);
    reply(
        Refusal{"not_authorised", fmt::format("{} may not read the whole audit log", who.path()),
                "name a job of yours (entente audit show --job JOB), or use the kit of an auditor",
                Scope::broker});
    return false;
  }

  // A site that an operator may drain or resume; answers with the refusal otherwise.
  Site* find_site(const SiteId& id, const std::string& what) {
    const auto& who = session_.identity;
    if (who.role != Role::operator_) {
      step_.audit(who.path(), "request.deny", "site/" + id.str(), what);
      reply(Refusal{"not_authorised", fmt::format("{} may not {} sites", who.path(), what),
                    "use the kit of an operator of this consortium", Scope::site});
      return nullptr;
    }
    const auto found = step_.state.sites.find(id);
    if (found != step_.state.sites.end()) {
      return &found->second;
    }
    std::vector<std::string> names;
    for (const auto& [other, site] : step_.state.sites) {
      names.push_back(other.str());
    }
    const auto near = nearest(id.str(), names);
    reply(Refusal{"site_unknown",
                  fmt::format("no site \"{}\" has ever joined this consortium", id.str()),
                  near ? fmt::format("did you mean \"{}\"?", *near)
                       : "list the sites with: entente site list"});
    return nullptr;
  }

  static const RoundRow* model_of(const Job& job, std::optional<Round> version) {
    const RoundRow* newest = nullptr;
    for (const auto& [number, round] : job.rounds) {
      if (round.model && (!version || *version == number)) {
        newest = &round;
      }
    }
    return newest;
  }

  Step& step_;
  const Session& session_;
  std::uint64_t request_;
};

}  // namespace

void on_request(Step& step, const Session& session, const msg::Request& request,
                const Digest& spec_digest) {
  Answer answer(step, session, request.id);
  if (session.identity.role == Role::site) {
    step.audit(session.identity.path(), "request.deny", "broker");
    step.send(session.id,
              msg::Reply{request.id, not_authorised(session.identity, "ask as a coordinator")});
    return;
  }
  if (const auto* submit = std::get_if<msg::SubmitJob>(&request.body)) {
    answer.submit(*submit, spec_digest);
    return;
  }
  std::visit(answer, request.body);
}

void push_progress(Step& step) {
  for (auto& watcher : step.state.watchers) {
    if (!watcher.progress_waits || step.now.monotonic - watcher.last_progress_sent < kPushEvery) {
      continue;
    }
    const auto& job = step.state.jobs.at(watcher.job);
    step.send(watcher.session,
              msg::JobUpdate{watcher.request, summarise(job), {}, site_views(step.state, job)});
    watcher.last_progress_sent = step.now.monotonic;
    watcher.progress_waits = false;
  }
}

void note_progress(Step& step, const JobId& job) {
  for (auto& watcher : step.state.watchers) {
    watcher.progress_waits = watcher.progress_waits || watcher.job == job;
  }
}

std::optional<Monotonic> next_push(const State& state) {
  std::optional<Monotonic> next;
  for (const auto& watcher : state.watchers) {
    if (watcher.progress_waits) {
      const auto due = watcher.last_progress_sent + kPushEvery;
      next = next ? std::min(*next, due) : due;
    }
  }
  return next;
}

}  // namespace entente::broker
