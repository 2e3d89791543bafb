#include "common/wire/task_wire.h"

#include <fmt/format.h>

#include "common/base/limits.h"
#include "common/wire/enumerations.h"
#include "common/wire/values.h"

namespace entente::wire {

// Static, since in an unnamed namespace these overloads would hide those of the headers.

static void write(const TaskKey& key, schema::TaskKey::Builder to) {
  to.setJob(text(key.job.str()));
  to.setRound(key.round);
  to.setKind(write_enum(key.kind));
  to.setSite(text(key.site.str()));
  to.setAttempt(key.attempt);
}

static TaskKey read(schema::TaskKey::Reader from) {
  if (from.getAttempt() < 1) {
    illegal("task.attempt", "is 0");
  }
  return TaskKey{
      .job = read_name<JobId>(view(from.getJob()), "task.job"),
      .round = at_most_32(from.getRound(), limits::kRoundsMax, "task.round"),
      .kind = read_enum<TaskKind>(from.getKind(), "task.kind"),
      .site = read_name<SiteId>(view(from.getSite()), "task.site"),
      .attempt = from.getAttempt(),
  };
}

static void write(const TaskOrder& order, schema::TaskOrder::Builder to) {
  write(order.key, to.initKey());
  to.setSeed(order.seed);
  if (order.model) {
    to.setModel(data(*order.model));
  }
  to.setModelBytes(order.model_bytes);
  to.setCohort(order.cohort);
  to.setSteps(order.steps);
  if (!order.ranges.empty()) {
    write_sums(order.ranges, to.initRanges(static_cast<unsigned>(order.ranges.size())));
  }
  if (order.control) {
    to.setControl(data(*order.control));
  }
  to.setControlBytes(order.control_bytes);
  if (order.inputs) {
    to.setInputs(data(*order.inputs));
  }
  to.setInputsBytes(order.inputs_bytes);
}

static TaskOrder read(schema::TaskOrder::Reader from) {
  return TaskOrder{
      .key = read(from.getKey()),
      .seed = from.getSeed(),
      .model = read_optional_digest(from.getModel(), "task.model"),
      .model_bytes = at_most(from.getModelBytes(), limits::kBlobBytesMax, "task.modelBytes"),
      .cohort = at_most_32(from.getCohort(), limits::kSitesPerJobMax, "task.cohort"),
      .steps = at_most(from.getSteps(), limits::kStepsMax, "task.steps"),
      .ranges = read_sums(from.getRanges(), "task.ranges"),
      .control = read_optional_digest(from.getControl(), "task.control"),
      .control_bytes = at_most(from.getControlBytes(), limits::kBlobBytesMax, "task.controlBytes"),
      .inputs = read_optional_digest(from.getInputs(), "task.inputs"),
      .inputs_bytes = at_most(from.getInputsBytes(), limits::kBlobBytesMax, "task.inputsBytes"),
  };
}

static void write(const TaskResult& result, schema::TaskResult::Builder to) {
  if (result.blob) {
    to.setBlob(data(*result.blob));
  }
  to.setBlobBytes(result.blob_bytes);
  to.setExamples(result.examples);
  to.setSteps(result.steps);
  write_metrics(result.metrics, to.initMetrics(static_cast<unsigned>(result.metrics.size())));
  if (!result.sums.empty()) {
    write_sums(result.sums, to.initSums(static_cast<unsigned>(result.sums.size())));
  }
}

static TaskResult read(schema::TaskResult::Reader from) {
  return TaskResult{
      .blob = read_optional_digest(from.getBlob(), "result.blob"),
      .blob_bytes = at_most(from.getBlobBytes(), limits::kBlobBytesMax, "result.blobBytes"),
      .examples = at_most(from.getExamples(), limits::kExamplesMax, "result.examples"),
      .steps = from.getSteps(),
      .metrics = read_metrics(from.getMetrics()),
      .sums = read_sums(from.getSums(), "result.sums"),
  };
}

static void write(const TaskFailure& failure, schema::TaskFailure::Builder to) {
  write(failure.reason, to.initReason());
  to.setTransient(failure.transient);
}

static TaskFailure read(schema::TaskFailure::Reader from) {
  return TaskFailure{.reason = read(from.getReason()), .transient = from.getTransient()};
}

void write(const TaskProgress& progress, schema::TaskProgress::Builder to) {
  to.setDone(progress.done);
  to.setTotal(progress.total);
  to.setUnit(text(progress.unit));
}

TaskProgress read(schema::TaskProgress::Reader from) {
  return TaskProgress{
      .done = from.getDone(),
      .total = from.getTotal(),
      .unit = label_or_empty(view(from.getUnit()), "progress.unit"),
  };
}

void write(const msg::TaskOffer& offer, schema::TaskOffer::Builder to) {
  write(offer.order, to.initOrder());
}

msg::TaskOffer read(schema::TaskOffer::Reader from) {
  return msg::TaskOffer{read(from.getOrder())};
}

void write(const msg::TaskReport& report, schema::TaskReport::Builder to) {
  write(report.key, to.initKey());
  write(report.progress, to.initProgress());
}

msg::TaskReport read(schema::TaskReport::Reader from) {
  return msg::TaskReport{.key = read(from.getKey()), .progress = read(from.getProgress())};
}

void write(const msg::ResultAnnounce& announce, schema::ResultAnnounce::Builder to) {
  write(announce.key, to.initKey());
  write(announce.result, to.initResult());
}

msg::ResultAnnounce read(schema::ResultAnnounce::Reader from) {
  return msg::ResultAnnounce{.key = read(from.getKey()), .result = read(from.getResult())};
}

void write(const msg::ResultGrant& grant, schema::ResultGrant::Builder to) {
  write(grant.key, to.initKey());
  to.setBlob(data(grant.blob));
}

msg::ResultGrant read(schema::ResultGrant::Reader from) {
  return msg::ResultGrant{.key = read(from.getKey()),
                          .blob = read_digest(from.getBlob(), "resultGrant.blob")};
}

void write(const msg::ResultVerdict& verdict, schema::ResultVerdict::Builder to) {
  write(verdict.key, to.initKey());
  if (verdict.refusal) {
    write(*verdict.refusal, to.initRefusal());
  }
}

msg::ResultVerdict read(schema::ResultVerdict::Reader from) {
  msg::ResultVerdict verdict{.key = read(from.getKey()), .refusal = std::nullopt};
  if (from.hasRefusal()) {
    verdict.refusal = read(from.getRefusal());
  }
  return verdict;
}

void write(const msg::TaskFailed& failed, schema::TaskFailed::Builder to) {
  write(failed.key, to.initKey());
  write(failed.failure, to.initFailure());
}

msg::TaskFailed read(schema::TaskFailed::Reader from) {
  return msg::TaskFailed{.key = read(from.getKey()), .failure = read(from.getFailure())};
}

}  // namespace entente::wire
