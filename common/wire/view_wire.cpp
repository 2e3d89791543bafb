#include "common/wire/view_wire.h"

#include "common/base/limits.h"
#include "common/wire/enumerations.h"
#include "common/wire/job_wire.h"
#include "common/wire/session_wire.h"
#include "common/wire/task_wire.h"
#include "common/wire/values.h"

namespace entente::wire {

// Static, since in an unnamed namespace these overloads would hide those of the headers.

static std::optional<TaskKind> read(schema::JobSiteView::Task::Reader from) {
  switch (from.which()) {
    case schema::JobSiteView::Task::NONE:
      return std::nullopt;
    case schema::JobSiteView::Task::KIND:
      return read_enum<TaskKind>(from.getKind(), "jobSite.task");
  }
  illegal("jobSite.task", "is of an unknown kind");
}

static void write(const SiteId& site, const SiteEvaluation& evaluation,
                  schema::SiteEvaluation::Builder to) {
  to.setSite(text(site.str()));
  write_metrics(evaluation.metrics,
                to.initMetrics(static_cast<unsigned>(evaluation.metrics.size())));
  to.setExamples(evaluation.examples);
}

static SiteEvaluations read_evaluations(capnp::List<schema::SiteEvaluation>::Reader from) {
  check_count(from.size(), limits::kSitesPerJobMax, "round.atSites");
  SiteEvaluations evaluations;
  for (const auto site : from) {
    evaluations[read_name<SiteId>(view(site.getSite()), "round.atSites")] = SiteEvaluation{
        .metrics = read_metrics(site.getMetrics()),
        .examples = at_most(site.getExamples(), limits::kExamplesMax, "round.atSites.examples"),
    };
  }
  return evaluations;
}

static void write(const RoundView& round, schema::RoundView::Builder to) {
  to.setRound(round.round);
  to.setState(write_enum(round.state));
  to.setUpdates(round.updates);
  write_metrics(round.train_metrics,
                to.initTrainMetrics(static_cast<unsigned>(round.train_metrics.size())));
  write_metrics(round.evaluate_metrics,
                to.initEvaluateMetrics(static_cast<unsigned>(round.evaluate_metrics.size())));
  if (round.model) {
    to.setModel(data(*round.model));
  }
  to.setRemoved(round.removed);
  to.setEvaluatedAt(round.evaluated_at);
  to.setEvaluationExamples(round.evaluation_examples);
  write_list(
      round.at_sites, [&](unsigned count) { return to.initAtSites(count); },
      [](const auto& entry, auto item) { write(entry.first, entry.second, item); });
  to.setModelOf(text(round.model_of));
}

static RoundView read(schema::RoundView::Reader from) {
  return RoundView{
      .round = at_most_32(from.getRound(), limits::kRoundsMax, "round.round"),
      .state = read_enum<RoundState>(from.getState(), "round.state"),
      .updates = from.getUpdates(),
      .train_metrics = read_metrics(from.getTrainMetrics()),
      .evaluate_metrics = read_metrics(from.getEvaluateMetrics()),
      .model = read_optional_digest(from.getModel(), "round.model"),
      .removed = from.getRemoved(),
      .evaluated_at =
          at_most_32(from.getEvaluatedAt(), limits::kSitesPerJobMax, "round.evaluatedAt"),
      .evaluation_examples =
          at_most(from.getEvaluationExamples(), limits::kExamplesMax * limits::kSitesPerJobMax,
                  "round.evaluationExamples"),
      .at_sites = read_evaluations(from.getAtSites()),
      .model_of = name_text_or_empty(view(from.getModelOf()), "round.modelOf"),
  };
}

static void write(const Contribution& contribution, schema::Contribution::Builder to) {
  to.setSite(text(contribution.site.str()));
  to.setUpdate(data(contribution.update));
  to.setExamples(contribution.examples);
  to.setWeight(contribution.weight);
  to.setSteps(contribution.steps);
  to.setStartedFrom(contribution.started_from);
}

static Contribution read(schema::Contribution::Reader from) {
  return Contribution{
      .site = read_name<SiteId>(view(from.getSite()), "contribution.site"),
      .update = read_digest(from.getUpdate(), "contribution.update"),
      .examples = at_most(from.getExamples(), limits::kExamplesMax, "contribution.examples"),
      .weight = finite(from.getWeight(), "contribution.weight"),
      .steps = from.getSteps(),
      .started_from =
          at_most_32(from.getStartedFrom(), limits::kRoundsMax, "contribution.startedFrom"),
  };
}

void write(const JobEvent& event, schema::JobEvent::Builder to) {
  to.setSeq(event.seq);
  to.setUnixMs(event.unix_ms);
  to.setKind(write_enum(event.kind));
  to.setRound(event.round);
  to.setSite(text(event.site));
  to.setText(text(prose(event.text)));
  write_metrics(event.metrics, to.initMetrics(static_cast<unsigned>(event.metrics.size())));
  to.setExamples(event.examples);
  to.setBytes(event.bytes);
}

JobEvent read(schema::JobEvent::Reader from) {
  return JobEvent{
      .seq = from.getSeq(),
      .unix_ms = from.getUnixMs(),
      .kind = read_enum<JobEventKind>(from.getKind(), "event.kind"),
      .round = at_most_32(from.getRound(), limits::kRoundsMax, "event.round"),
      .site = name_text_or_empty(view(from.getSite()), "event.site"),
      .text = prose(view(from.getText())),
      .metrics = read_metrics(from.getMetrics()),
      .examples = from.getExamples(),
      .bytes = from.getBytes(),
  };
}

void write(const JobSummary& summary, schema::JobSummary::Builder to) {
  to.setId(text(summary.id.str()));
  to.setState(write_enum(summary.state));
  to.setCoordinator(text(summary.coordinator));
  to.setRound(summary.round);
  to.setRounds(summary.rounds);
  to.setSubmittedUnixMs(summary.submitted_unix_ms);
  to.setReason(text(prose(summary.reason)));
  to.setKind(write_enum(summary.kind));
}

JobSummary read(schema::JobSummary::Reader from) {
  return JobSummary{
      .id = read_name<JobId>(view(from.getId()), "job.id"),
      .kind = read_enum<JobKind>(from.getKind(), "job.kind"),
      .state = read_enum<JobState>(from.getState(), "job.state"),
      .coordinator = name_text_or_empty(view(from.getCoordinator()), "job.coordinator"),
      .round = at_most_32(from.getRound(), limits::kRoundsMax, "job.round"),
      .rounds = at_most_32(from.getRounds(), limits::kRoundsMax, "job.rounds"),
      .submitted_unix_ms = from.getSubmittedUnixMs(),
      .reason = prose(view(from.getReason())),
  };
}

void write(const JobSiteView& site, schema::JobSiteView::Builder to) {
  to.setSite(text(site.site.str()));
  to.setEnrolment(write_enum(site.enrolment));
  to.setReason(text(prose(site.reason)));
  to.setConnected(site.connected);
  to.setUpdatesAccepted(site.updates_accepted);
  to.setBytesOut(site.bytes_out);
  to.setTensorsOut(site.tensors_out);
  to.setExamples(site.examples);
  if (site.task) {
    to.initTask().setKind(write_enum(*site.task));
  }
  to.setTaskState(write_enum(site.task_state));
  write(site.progress, to.initProgress());
  to.setStandsBy(site.stands_by);
  to.setSitsOut(site.sits_out);
  write_metrics(site.evaluate_metrics,
                to.initEvaluateMetrics(static_cast<unsigned>(site.evaluate_metrics.size())));
  to.setEvaluationExamples(site.evaluation_examples);
  to.setEvaluatedRound(site.evaluated_round);
}

JobSiteView read(schema::JobSiteView::Reader from) {
  return JobSiteView{
      .site = read_name<SiteId>(view(from.getSite()), "jobSite.site"),
      .enrolment = read_enum<Enrolment>(from.getEnrolment(), "jobSite.enrolment"),
      .reason = prose(view(from.getReason())),
      .connected = from.getConnected(),
      .updates_accepted = from.getUpdatesAccepted(),
      .bytes_out = from.getBytesOut(),
      .tensors_out = from.getTensorsOut(),
      .examples = at_most(from.getExamples(), limits::kExamplesMax, "jobSite.examples"),
      .task = read(from.getTask()),
      .task_state = read_enum<TaskState>(from.getTaskState(), "jobSite.taskState"),
      .progress = read(from.getProgress()),
      .stands_by = from.getStandsBy(),
      .sits_out = from.getSitsOut(),
      .evaluate_metrics = read_metrics(from.getEvaluateMetrics()),
      .evaluation_examples =
          at_most(from.getEvaluationExamples(), limits::kExamplesMax, "jobSite.evaluationExamples"),
      .evaluated_round =
          at_most_32(from.getEvaluatedRound(), limits::kRoundsMax, "jobSite.evaluatedRound"),
  };
}

void write(const JobView& job, schema::JobView::Builder to) {
  write(job.summary, to.initSummary());
  write(job.spec, to.initSpec());
  to.setSpecDigest(data(job.spec_digest));
  write_list(
      job.sites, [&](unsigned count) { return to.initSites(count); },
      [](const auto& site, auto item) { write(site, item); });
  write_list(
      job.rounds, [&](unsigned count) { return to.initRounds(count); },
      [](const auto& round, auto item) { write(round, item); });
  if (!job.statistics.empty()) {
    write_sums(job.statistics, to.initStatistics(static_cast<unsigned>(job.statistics.size())));
  }
}

JobView read(schema::JobView::Reader from) {
  return JobView{
      .summary = read(from.getSummary()),
      .spec = read(from.getSpec()),
      .spec_digest = read_digest(from.getSpecDigest(), "jobView.specDigest"),
      .sites = read_list<JobSiteView>(from.getSites(), limits::kSitesPerJobMax, "jobView.sites",
                                      [](auto item) { return read(item); }),
      .rounds = read_list<RoundView>(from.getRounds(), kRowsMax, "jobView.rounds",
                                     [](auto item) { return read(item); }),
      .statistics = read_sums(from.getStatistics(), "jobView.statistics"),
  };
}

void write(const SiteView& site, schema::SiteView::Builder to) {
  to.setSite(text(site.site.str()));
  to.setConnected(site.connected);
  to.setLastSeenUnixMs(site.last_seen_unix_ms);
  write(site.advert, to.initAdvert());
  write_names(site.jobs, to.initJobs(static_cast<unsigned>(site.jobs.size())));
  to.setDraining(site.draining);
  to.setDrainReason(text(prose(site.drain_reason)));
  to.setOpenTasks(site.open_tasks);
}

SiteView read(schema::SiteView::Reader from) {
  return SiteView{
      .site = read_name<SiteId>(view(from.getSite()), "site.site"),
      .connected = from.getConnected(),
      .last_seen_unix_ms = from.getLastSeenUnixMs(),
      .advert = read(from.getAdvert()),
      .jobs = read_names<JobId>(from.getJobs(), kRowsMax, "site.jobs"),
      .draining = from.getDraining(),
      .drain_reason = prose(view(from.getDrainReason())),
      .open_tasks = from.getOpenTasks(),
  };
}

void write(const ModelView& model, schema::ModelView::Builder to) {
  to.setJob(text(model.job.str()));
  to.setVersion(model.version);
  to.setBlob(data(model.blob));
  to.setBytes(model.bytes);
  to.setPublishedUnixMs(model.published_unix_ms);
  to.setSpecDigest(data(model.spec_digest));
  to.setStrategy(text(model.strategy));
  if (model.parent) {
    to.setParent(data(*model.parent));
  }
  if (model.server_state) {
    to.setServerState(data(*model.server_state));
  }
  to.setOrigin(text(model.origin));
  write_list(
      model.contributions, [&](unsigned count) { return to.initContributions(count); },
      [](const auto& contribution, auto item) { write(contribution, item); });
  write_metrics(model.evaluate_metrics,
                to.initEvaluateMetrics(static_cast<unsigned>(model.evaluate_metrics.size())));
  to.setRemoved(model.removed);
}

ModelView read(schema::ModelView::Reader from) {
  return ModelView{
      .job = read_name<JobId>(view(from.getJob()), "model.job"),
      .version = at_most_32(from.getVersion(), limits::kRoundsMax, "model.version"),
      .blob = read_digest(from.getBlob(), "model.blob"),
      .bytes = at_most(from.getBytes(), limits::kBlobBytesMax, "model.bytes"),
      .published_unix_ms = from.getPublishedUnixMs(),
      .spec_digest = read_digest(from.getSpecDigest(), "model.specDigest"),
      .strategy = label_or_empty(view(from.getStrategy()), "model.strategy"),
      .parent = read_optional_digest(from.getParent(), "model.parent"),
      .server_state = read_optional_digest(from.getServerState(), "model.serverState"),
      .origin = label_or_empty(view(from.getOrigin()), "model.origin"),
      .contributions =
          read_list<Contribution>(from.getContributions(), limits::kSitesPerJobMax,
                                  "model.contributions", [](auto item) { return read(item); }),
      .evaluate_metrics = read_metrics(from.getEvaluateMetrics()),
      .removed = from.getRemoved(),
  };
}

void write(const AuditEntry& entry, schema::AuditEntry::Builder to) {
  to.setSeq(entry.seq);
  to.setUnixMs(entry.unix_ms);
  to.setActor(text(entry.actor));
  to.setAction(text(entry.action));
  to.setObject(text(entry.object));
  to.setDetail(text(entry.detail));
  to.setHash(data(entry.hash));
}

AuditEntry read(schema::AuditEntry::Reader from) {
  return AuditEntry{
      .seq = from.getSeq(),
      .unix_ms = from.getUnixMs(),
      .actor = std::string(view(from.getActor())),
      .action = std::string(view(from.getAction())),
      .object = std::string(view(from.getObject())),
      .detail = std::string(view(from.getDetail())),
      .hash = read_digest(from.getHash(), "audit.hash"),
  };
}

}  // namespace entente::wire
