#include "common/wire/coordinator_wire.h"

#include <fmt/format.h>

#include "common/base/limits.h"
#include "common/wire/enumerations.h"
#include "common/wire/explanation_wire.h"
#include "common/wire/job_wire.h"
#include "common/wire/values.h"
#include "common/wire/view_wire.h"

namespace entente::wire {
namespace {

struct RequestWriter {
  schema::Request::Body::Builder to;

  void operator()(const msg::SubmitJob& submit) {
    auto job = to.initSubmitJob();
    write(submit.spec, job.initSpec());
    job.setToken(text(submit.token));
  }
  void operator()(const msg::ListJobs& list) {
    auto jobs = to.initListJobs();
    if (list.state) {
      jobs.initState().setOnly(write_enum(*list.state));
    }
    jobs.setMine(list.mine);
  }
  void operator()(const msg::ShowJob& show) { to.initShowJob().setJob(text(show.job.str())); }
  void operator()(const msg::WatchJob& watch) {
    auto job = to.initWatchJob();
    job.setJob(text(watch.job.str()));
    job.setAfterSeq(watch.after_seq);
  }
  void operator()(const msg::ListEvents& list) {
    auto events = to.initListEvents();
    events.setJob(text(list.job.str()));
    events.setAfterSeq(list.after_seq);
  }
  void operator()(const msg::AbortJob& abort) {
    auto job = to.initAbortJob();
    job.setJob(text(abort.job.str()));
    job.setReason(text(prose(abort.reason)));
  }
  void operator()(const msg::PauseJob& pause) {
    auto job = to.initPauseJob();
    job.setJob(text(pause.job.str()));
    job.setReason(text(prose(pause.reason)));
  }
  void operator()(const msg::ResumeJob& resume) {
    to.initResumeJob().setJob(text(resume.job.str()));
  }
  void operator()(const msg::ListSites&) { to.initListSites(); }
  void operator()(const msg::ListModels& list) {
    auto models = to.initListModels();
    if (list.job) {
      models.setJob(text(list.job->str()));
    }
  }
  void operator()(const msg::ShowModel& show) {
    auto model = to.initShowModel();
    model.setJob(text(show.job.str()));
    if (show.version) {
      model.initVersion().setRound(*show.version);
    }
  }
  void operator()(const msg::DrainSite& drain) {
    auto site = to.initDrainSite();
    site.setSite(text(drain.site.str()));
    site.setReason(text(prose(drain.reason)));
  }
  void operator()(const msg::ResumeSite& resume) {
    to.initResumeSite().setSite(text(resume.site.str()));
  }
  void operator()(const msg::ExplainJob& explain) {
    to.initExplainJob().setJob(text(explain.job.str()));
  }
  void operator()(const msg::ExplainSpec& explain) {
    write(explain.spec, to.initExplainSpec().initSpec());
  }
  void operator()(const msg::ShowAudit& show) {
    auto audit = to.initShowAudit();
    if (show.job) {
      audit.setJob(text(show.job->str()));
    }
    audit.setLimit(show.limit);
  }
  void operator()(const msg::ReadAudit& read) { to.initReadAudit().setAfterSeq(read.after_seq); }
};

}  // namespace

// Static: see job_wire.cpp.
static std::optional<Round> read(schema::ShowModel::Version::Reader from) {
  switch (from.which()) {
    case schema::ShowModel::Version::NEWEST:
      return std::nullopt;
    case schema::ShowModel::Version::ROUND:
      return at_most_32(from.getRound(), limits::kRoundsMax, "showModel.round");
  }
  illegal("showModel.version", "is of an unknown kind");
}

static std::optional<JobState> read(schema::ListJobs::State::Reader from) {
  switch (from.which()) {
    case schema::ListJobs::State::ANY:
      return std::nullopt;
    case schema::ListJobs::State::ONLY:
      return read_enum<JobState>(from.getOnly(), "listJobs.state");
  }
  illegal("listJobs.state", "is of an unknown kind");
}

static msg::RequestBody read(schema::Request::Body::Reader from) {
  using Body = schema::Request::Body;
  switch (from.which()) {
    case Body::UNSET:
      illegal("request.body", "is missing");
    case Body::SUBMIT_JOB:
      return msg::SubmitJob{
          read(from.getSubmitJob().getSpec()),
          label_or_empty(view(from.getSubmitJob().getToken()), "submitJob.token")};
    case Body::LIST_JOBS:
      return msg::ListJobs{read(from.getListJobs().getState()), from.getListJobs().getMine()};
    case Body::SHOW_JOB:
      return msg::ShowJob{read_name<JobId>(view(from.getShowJob().getJob()), "showJob.job")};
    case Body::WATCH_JOB: {
      const auto watch = from.getWatchJob();
      return msg::WatchJob{.job = read_name<JobId>(view(watch.getJob()), "watchJob.job"),
                           .after_seq = watch.getAfterSeq()};
    }
    case Body::LIST_EVENTS: {
      const auto list = from.getListEvents();
      return msg::ListEvents{.job = read_name<JobId>(view(list.getJob()), "listEvents.job"),
                             .after_seq = list.getAfterSeq()};
    }
    case Body::ABORT_JOB: {
      const auto abort = from.getAbortJob();
      return msg::AbortJob{.job = read_name<JobId>(view(abort.getJob()), "abortJob.job"),
                           .reason = prose(view(abort.getReason()))};
    }
    case Body::LIST_SITES:
      return msg::ListSites{};
    case Body::LIST_MODELS: {
      msg::ListModels list;
      if (from.getListModels().getJob().size() > 0) {
        list.job = read_name<JobId>(view(from.getListModels().getJob()), "listModels.job");
      }
      return list;
    }
    case Body::PAUSE_JOB: {
      const auto pause = from.getPauseJob();
      return msg::PauseJob{.job = read_name<JobId>(view(pause.getJob()), "pauseJob.job"),
                           .reason = prose(view(pause.getReason()))};
    }
    case Body::RESUME_JOB:
      return msg::ResumeJob{read_name<JobId>(view(from.getResumeJob().getJob()), "resumeJob.job")};
    case Body::SHOW_MODEL: {
      const auto show = from.getShowModel();
      return msg::ShowModel{.job = read_name<JobId>(view(show.getJob()), "showModel.job"),
                            .version = read(show.getVersion())};
    }
    case Body::DRAIN_SITE: {
      const auto drain = from.getDrainSite();
      return msg::DrainSite{.site = read_name<SiteId>(view(drain.getSite()), "drainSite.site"),
                            .reason = prose(view(drain.getReason()))};
    }
    case Body::RESUME_SITE:
      return msg::ResumeSite{
          read_name<SiteId>(view(from.getResumeSite().getSite()), "resumeSite.site")};
    case Body::EXPLAIN_JOB:
      return msg::ExplainJob{
          read_name<JobId>(view(from.getExplainJob().getJob()), "explainJob.job")};
    case Body::EXPLAIN_SPEC:
      return msg::ExplainSpec{read(from.getExplainSpec().getSpec())};
    case Body::SHOW_AUDIT: {
      const auto show = from.getShowAudit();
      msg::ShowAudit audit{std::nullopt, show.getLimit()};
      if (show.getJob().size() > 0) {
        audit.job = read_name<JobId>(view(show.getJob()), "showAudit.job");
      }
      return audit;
    }
    case Body::READ_AUDIT:
      return msg::ReadAudit{from.getReadAudit().getAfterSeq()};
  }
  throw Unknown{fmt::format("a request is of the unknown kind {}", unsigned{from.which()})};
}

namespace {

struct ReplyWriter {
  schema::Reply::Body::Builder to;

  void operator()(const msg::Done&) { to.initDone(); }
  void operator()(const Refusal& refusal) { write(refusal, to.initRefusal()); }
  void operator()(const JobSummary& job) { write(job, to.initJob()); }
  void operator()(const std::vector<JobSummary>& jobs) {
    fill(jobs, to.initJobs(static_cast<unsigned>(jobs.size())));
  }
  void operator()(const JobView& job) { write(job, to.initJobView()); }
  void operator()(const std::vector<SiteView>& sites) {
    fill(sites, to.initSites(static_cast<unsigned>(sites.size())));
  }
  void operator()(const std::vector<ModelView>& models) {
    fill(models, to.initModels(static_cast<unsigned>(models.size())));
  }
  void operator()(const ModelView& model) { write(model, to.initModel()); }
  void operator()(const Explanation& explanation) { write(explanation, to.initExplanation()); }
  void operator()(const std::vector<AuditEntry>& entries) {
    fill(entries, to.initAudit(static_cast<unsigned>(entries.size())));
  }
  void operator()(const std::vector<JobEvent>& events) {
    fill(events, to.initEvents(static_cast<unsigned>(events.size())));
  }

  template <class Items, class List>
  static void fill(const Items& items, List list) {
    for (unsigned i = 0; i < list.size(); ++i) {
      write(items[i], list[i]);
    }
  }
};

}  // namespace

static msg::ReplyBody read(schema::Reply::Body::Reader from) {
  using Body = schema::Reply::Body;
  const auto row = [](auto item) { return read(item); };
  switch (from.which()) {
    case Body::UNSET:
      illegal("reply.body", "is missing");
    case Body::DONE:
      return msg::Done{};
    case Body::REFUSAL:
      return read(from.getRefusal());
    case Body::JOB:
      return read(from.getJob());
    case Body::JOBS:
      return read_list<JobSummary>(from.getJobs(), kRowsMax, "reply.jobs", row);
    case Body::JOB_VIEW:
      return read(from.getJobView());
    case Body::SITES:
      return read_list<SiteView>(from.getSites(), kRowsMax, "reply.sites", row);
    case Body::MODELS:
      return read_list<ModelView>(from.getModels(), kRowsMax, "reply.models", row);
    case Body::EVENTS:
      return read_list<JobEvent>(from.getEvents(), kRowsMax, "reply.events", row);
    case Body::AUDIT:
      return read_list<AuditEntry>(from.getAudit(), kRowsMax, "reply.audit", row);
    case Body::MODEL:
      return read(from.getModel());
    case Body::EXPLANATION:
      return read(from.getExplanation());
  }
  throw Unknown{fmt::format("a reply is of the unknown kind {}", unsigned{from.which()})};
}

void write(const msg::Request& request, schema::Request::Builder to) {
  to.setId(request.id);
  std::visit(RequestWriter{to.initBody()}, request.body);
}

msg::Request read(schema::Request::Reader from) {
  return msg::Request{.id = from.getId(), .body = read(from.getBody())};
}

void write(const msg::Reply& reply, schema::Reply::Builder to) {
  to.setId(reply.id);
  std::visit(ReplyWriter{to.initBody()}, reply.body);
}

msg::Reply read(schema::Reply::Reader from) {
  return msg::Reply{.id = from.getId(), .body = read(from.getBody())};
}

void write(const msg::JobUpdate& update, schema::JobUpdate::Builder to) {
  to.setId(update.id);
  write(update.summary, to.initSummary());
  write_list(
      update.events, [&](unsigned count) { return to.initEvents(count); },
      [](const auto& event, auto item) { write(event, item); });
  write_list(
      update.sites, [&](unsigned count) { return to.initSites(count); },
      [](const auto& site, auto item) { write(site, item); });
}

msg::JobUpdate read(schema::JobUpdate::Reader from) {
  const auto row = [](auto item) { return read(item); };
  return msg::JobUpdate{
      .id = from.getId(),
      .summary = read(from.getSummary()),
      .events = read_list<JobEvent>(from.getEvents(), kRowsMax, "jobUpdate.events", row),
      .sites =
          read_list<JobSiteView>(from.getSites(), limits::kSitesPerJobMax, "jobUpdate.sites", row),
  };
}

}  // namespace entente::wire
