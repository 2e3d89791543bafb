#include "common/wire/job_parts_wire.h"

#include "common/base/limits.h"
#include "common/wire/values.h"

namespace entente::wire {

void write(const InitialModel& init, schema::InitialModel::Builder to) {
  to.setJob(text(init.job.str()));
  switch (init.which) {
    case InitialModel::Which::last:
      to.initVersion().setLast();
      return;
    case InitialModel::Which::best:
      to.initVersion().setBest();
      return;
    case InitialModel::Which::round:
      to.initVersion().setRound(init.round);
      return;
    case InitialModel::Which::file: {
      auto file = to.initVersion().initFile();
      if (init.file) {
        file.setBlob(data(*init.file));
      }
      file.setBytes(init.bytes);
      return;
    }
  }
}

InitialModel read(schema::InitialModel::Reader from) {
  InitialModel init;
  using Version = schema::InitialModel::Version;
  const auto version = from.getVersion();
  if (version.which() == Version::FILE) {
    init.which = InitialModel::Which::file;
    init.file = read_digest(version.getFile().getBlob(), "init.file");
    init.bytes = at_most(version.getFile().getBytes(), limits::kBlobBytesMax, "init.bytes");
    return init;
  }
  init.job = read_name<JobId>(view(from.getJob()), "init.job");
  switch (version.which()) {
    case Version::LAST:
      init.which = InitialModel::Which::last;
      return init;
    case Version::BEST:
      init.which = InitialModel::Which::best;
      return init;
    case Version::ROUND:
      init.which = InitialModel::Which::round;
      init.round = at_most_32(version.getRound(), limits::kRoundsMax, "init.round");
      return init;
    case Version::FILE:
      break;
  }
  illegal("init.version", "is of an unknown kind");
}

void write(const AsyncSpec& async, schema::AsyncSpec::Builder to) {
  to.setBuffer(async.buffer);
  to.setStalenessExponent(unsigned_zero(async.staleness_exponent));
  to.setStalenessMax(async.staleness_max);
  to.setConcurrency(async.concurrency);
}

AsyncSpec read(schema::AsyncSpec::Reader from) {
  return AsyncSpec{
      .buffer = at_most_32(from.getBuffer(), limits::kSitesPerJobMax, "async.buffer"),
      .staleness_exponent = finite(from.getStalenessExponent(), "async.stalenessExponent"),
      .staleness_max = at_most_32(from.getStalenessMax(), limits::kRoundsMax, "async.stalenessMax"),
      .concurrency =
          at_most_32(from.getConcurrency(), limits::kSitesPerJobMax, "async.concurrency"),
  };
}

void write(const PredictSpec& predict, schema::PredictSpec::Builder to) {
  to.setInputs(data(predict.inputs));
  to.setInputsBytes(predict.inputs_bytes);
  to.setExamples(predict.examples);
  if (predict.own) {
    to.setOwn(text(predict.own->str()));
  }
}

PredictSpec read(schema::PredictSpec::Reader from) {
  PredictSpec predict{
      .inputs = read_digest(from.getInputs(), "predict.inputs"),
      .inputs_bytes = at_most(from.getInputsBytes(), limits::kBlobBytesMax, "predict.inputsBytes"),
      .examples = at_most(from.getExamples(), limits::kExamplesMax, "predict.examples"),
  };
  if (from.hasOwn()) {
    predict.own = read_name<JobId>(view(from.getOwn()), "predict.own");
  }
  return predict;
}

}  // namespace entente::wire
