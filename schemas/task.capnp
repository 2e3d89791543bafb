@0xffa2cff6d87cd4e6;
# A task: one piece of a job's work at one site, from the offer to the broker's last word.
#
#   broker  -> TaskOffer       do this; the job's spec came with the JobOffer
#   site    -> TaskReport      it is alive: repeated while bytes move and steps are taken
#   site    -> ResultAnnounce  it has finished; its blob waits on the site's disk
#   broker  -> ResultGrant     the blob may be put on the data plane now
#   site    -> BlobPut ...     on the data plane (blob.capnp); left out for a result without a blob
#   broker  -> ResultVerdict   the broker's last word, sent after it is durable
#   site    -> TaskFailed      instead of an announcement: it has ended without a result
#
# Progress is liveness. A task that reports nothing and moves no byte for the job's stall window is
# lost. There is no other timer.
#
# Ids and their lifetimes
#
#   TaskKey  (job, round, kind, site, attempt) is unique for ever and is the idempotency key of
#            every message here. `attempt` counts the tries of one (job, round, kind, site) from 1;
#            a higher attempt makes the lower ones void.
#   blob     the SHA-256 of the result's bytes. A site that trains the same task again from the same
#            seed finds the same bytes and the same name.
#
# Duplicates. A site that gets a TaskOffer for a key that it knows does not work twice: it answers
# with what it has, a report, the announcement or the failure. A broker that gets a ResultAnnounce
# again answers with the grant while the blob is missing, or with the verdict when there is one.
# A ResultVerdict for a result that the site has forgotten is ignored.
#
# A ResultVerdict may also come while the site is still at work: the round has what it needs, and
# nobody waits for the result any more.
#
# The site keeps a finished result until the verdict, across restarts of either side: nothing is
# lost, and nothing is trained twice.

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("entente::schema");

using Refusal = import "refusal.capnp".Refusal;

enum TaskKind {
  initialize @0;  # make the initial model from the seed; result: a model
  train @1;       # local epochs on private data; result: an update (local - global)
  evaluate @2;    # metrics of a model on a dataset; result: no blob
  statistics @3;  # sums over a dataset, without a model; result: no blob
  predict @4;     # what a model says of the coordinator's inputs; result: outputs
}

struct TaskKey {
  job @0 :Text;

  round @1 :UInt32;
  # Training rounds count from 1, at most 100,000. Round 0 is the state before training.

  kind @2 :TaskKind;

  site @3 :Text;
  # A check, not a claim: a site refuses a task for another site, and the broker a message whose
  # site is not the one of the sender's certificate.

  attempt @4 :UInt32;
  # From 1.
}

struct Metric {
  name @0 :Text;
  # 1 to 255 bytes, unique in its list: "loss", "accuracy".

  value @1 :Float64;
  # Average over the examples. Finite: a loss that is not a number is a failure, not a result.
}

struct NamedSums {
  # Sums over the examples of a task that add up over sites. Of an evaluation its metrics follow
  # from them: "confusion", "squared_error"; which there are is not part of the protocol. Of
  # statistics common/domain/statistics.h lists them.

  name @0 :Text;
  # 1 to 255 bytes, unique in its list.

  values @1 :List(Float64);
  # Finite. All lists of a message together have at most 32,768.
}

struct TaskOrder {
  key @0 :TaskKey;

  seed @1 :UInt64;
  # A function of the job's seed, the round and the site; never of the attempt.

  model @2 :Data;
  # The global model to start from or to evaluate: 32 bytes, or null for `initialize`.

  modelBytes @3 :UInt64;
  # Size of that blob in bytes, at most 2^40.

  cohort @4 :UInt32;
  # Sites whose updates the round merges, at most, this one among them: a site's policy may ask for a
  # minimum. At most 10,000. 0: not said, which no such policy takes for enough.

  steps @5 :UInt64;
  # Of `train`: optimiser steps to take, exactly; at most 2^56. 0: as many as the job's local epochs
  # come to.

  ranges @6 :List(NamedSums);
  # Of `statistics` in the second round: for each column of numbers the two ends of the range that
  # the bins of its histogram divide. Empty in the first.

  control @7 :Data;
  # Of `train` with "scaffold": the server's control variate, 32 bytes. Null: it is 0 still.

  controlBytes @8 :UInt64;
  # Size of that blob in bytes, at most 2^40.

  inputs @9 :Data;
  # Of `predict`: the coordinator's file, 32 bytes. Null otherwise.

  inputsBytes @10 :UInt64;
  # Size of that blob in bytes, at most 2^40.
}

struct TaskOffer {
  order @0 :TaskOrder;
}

struct TaskProgress {
  done @0 :UInt64;
  total @1 :UInt64;
  # In `unit`. A total of 0 is not known yet.

  unit @2 :Text;
  # "examples", "bytes up", "bytes down": at most 255 bytes.
}

struct TaskReport {
  key @0 :TaskKey;
  progress @1 :TaskProgress;
}

struct TaskResult {
  blob @0 :Data;
  # The update or the initial model: 32 bytes. Null for a result without a blob.

  blobBytes @1 :UInt64;
  # Size of that blob in bytes, at most 2^40.

  examples @2 :UInt64;
  # That the result was made from, at most 2^40. The weight of an update in the merge.

  steps @3 :UInt64;
  # Optimiser steps taken.

  metrics @4 :List(Metric);
  # At most 64.

  sums @5 :List(NamedSums);
  # Of an evaluation or of statistics; at most 8192.
}

struct ResultAnnounce {
  key @0 :TaskKey;
  result @1 :TaskResult;
}

struct ResultGrant {
  key @0 :TaskKey;

  blob @1 :Data;
  # 32 bytes: what may be put, by this site, once.
}

struct ResultVerdict {
  key @0 :TaskKey;

  refusal @1 :Refusal;
  # Null: accepted. Either way the site may forget the result.
}

struct TaskFailure {
  reason @0 :Refusal;

  transient @1 :Bool;
  # The same task may succeed if it is tried again (a killed trainer), as opposed to never (labels
  # out of range).
}

struct TaskFailed {
  key @0 :TaskKey;
  failure @1 :TaskFailure;
}
