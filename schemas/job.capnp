@0x9eb4c3fdd61d1e2b;
# A job's spec, and how a site is asked to take part.
#
#   broker  -> JobOffer       to each site at which the job has claimed a slot
#   site    -> JobWaits       not yet: waits for approval, for its hours, for tomorrow's rounds
#   site    -> JobReply       accepted, or declined with a reason; declined later: it takes part no
#                             longer, and its open tasks have failed
#   broker  -> JobPaused      it holds no slot here for now: stop its tasks, keep the rest
#   broker  -> JobClosed      the job has ended, or no longer wants this site
#
# A site answers an offer after its policy has allowed it, after people have approved it where the
# policy asks for that, and after a trainer has checked that the data fits. That may take days; the
# offer stays open until the job is closed.
#
# Ids and their lifetimes
#
#   job         the spec's name, a dash and a number ("lung-3"), given by the broker when the job is
#               submitted. Unique within the consortium for ever; never reused.
#   specDigest  SHA-256 of the spec's canonical form (below). It says what was agreed to: a site's
#               promise holds for exactly this digest.
#
# Duplicates. The key is the job, at one site. After a reconnect the broker repeats its open offers;
# an offer that has been answered gets the same answer again, from the site's journal. A JobReply
# that repeats what is known changes nothing, and one with another digest than the job's counts for
# nothing. JobClosed for a job that the site does not know, or has closed already, is ignored.
#
# The canonical form of a spec is Cap'n Proto's own canonical encoding of JobSpec: one segment
# without a segment table, objects in preorder, trailing zeros cut. Beyond that these rules hold:
#   - attributes and parameters are in ascending order of their names, and site weights of their
#     sites, compared byte by byte;
#   - an empty list, and an empty LayerSpec.name, is a null pointer; every other text and every
#     struct that is not optional is written even when empty;
#   - a zero is never negative.
# The digest is computed from the spec that a reader has understood. A site that is older than a
# field which a spec makes use of drops it, finds another digest than the offer's, and declines:
# nobody trains something else than what was asked for.

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("entente::schema");

using Refusal = import "refusal.capnp".Refusal;

enum SampleBy {
  # What a site's chance of being drawn is in proportion to.

  uniform @0;     # all have the same
  samples @1;     # its examples of the training dataset
  preference @2;  # SiteSelection.prefer
}

struct SampleSpec {
  # How the sites of one round are drawn from all that take part. Either `count` or `fraction` is not 0.

  by @0 :SampleBy;

  count @1 :UInt32;
  # Updates that a round takes, at most 10,000. 0: as `fraction` says.

  fraction @2 :Float64;
  # Of the job's places, at least one; finite. 0: as `count` says.

  over @3 :Float64 = 1;
  # So many times as many sites are asked, and the first to answer count. Finite.

  separation @4 :UInt32;
  # Rounds that a site rests after one that has taken its update, at most 100,000.
}

struct SiteSelection {
  # Which sites take part, and how many of them a round needs.

  min @0 :UInt32;
  # The job starts when this many sites have accepted it. At most 10,000.

  max @1 :UInt32;
  # At most this many take part. 0: every eligible site. At most 10,000.

  quorum @2 :UInt32;
  # Updates that a round needs to close, at most 10,000. 0: the same as `min`, or with a `sample` all
  # that a round takes.

  mandatory @3 :List(Text);
  # Sites without which the job does not start. At most 10,000 names.

  exclude @4 :List(Text);
  # Sites that are never asked. At most 10,000 names.

  replace @5 :Bool = true;
  # Whether another eligible site may take the place of one that is lost, failing or draining.

  samplesMin @6 :UInt64;
  # Examples of the training dataset that a site must have, at most 2^40.

  require @7 :Text;
  # An SQL expression over a site's advert that must hold: at most 2000 bytes. Null: nothing.

  prefer @8 :Text;
  # An SQL expression that ranks the eligible sites, higher first, ties by id: at most 2000 bytes.
  # Null: by id.

  sample @9 :SampleSpec;
  # Null: every site that holds a place takes part in every round.
}

struct Attribute {
  # One named attribute of a layer. Which attributes a kind of layer has, and what they mean, is not
  # part of the protocol: a layer kind that is added needs no change here.

  name @0 :Text;
  # 1 to 255 bytes, unique within its layer.

  value :union {
    flag @1 :Bool;
    integer @2 :Int64;
    real @3 :Float64;  # finite
    text @4 :Text;     # at most 255 bytes
  }
}

struct LayerSpec {
  kind @0 :Text;
  # Lower case, the field's own name: "linear", "conv2d", "relu". 1 to 255 bytes.

  name @1 :Text;
  # Prefix of the layer's tensors, unique in the model, at most 255 bytes. Empty: named after the
  # layer's kind and position.

  attributes @2 :List(Attribute);
  # At most 64, in ascending order of their names.

  layers @3 :List(LayerSpec);
  # Of a block: what its input passes through, in this order. At most 4096; blocks are at most 3
  # deep.

  shortcut @4 :List(LayerSpec);
  # Of a block: the way beside its layers, to which their output is added. Empty: the input itself.
}

struct ModelSpec {
  input @0 :List(Int64);
  # Dimensions of one example, without the batch dimension. At most 8, each at least 1.

  layers @1 :List(LayerSpec);
  # In the order in which data passes through them. At most 4096.
}

struct TaskNeeds {
  # What one task of the job needs at a site. 0: whatever there is.

  memoryBytes @0 :UInt64;
  # Of the site's memory, which its slots share, at most 2^50.

  threads @1 :UInt32;
  # Of a slot, at most 4096.

  gpus @2 :UInt32;
  # At the site, at most 4096.
}

enum Loss {
  crossEntropy @0;
  bce @1;  # binary cross-entropy of logits
  mse @2;
  l1 @3;
  hinge @4;
}

struct OptimizerSpec {
  kind @0 :Text;
  # LibTorch's own name in lower case: "sgd". 1 to 255 bytes.

  lr @1 :Float64;
  momentum @2 :Float64;
  weightDecay @3 :Float64;
  # Finite; no units.

  options @4 :List(Attribute);
  # At most 64, in ascending order of their names. Which there are is not part of the protocol; one
  # that is left out has the default of its optimizer.
}

struct ScheduleSpec {
  # How the learning rate goes on from round to round.

  kind @0 :Text;
  # "step", "cosine": 1 to 255 bytes.

  options @1 :List(Attribute);
  # Like OptimizerSpec.options.
}

struct AugmentSpec {
  # How pictures are varied while they are trained on.

  flipHorizontal @0 :Bool;
  flipVertical @1 :Bool;
  # With probability 1/2 each.

  crop @2 :Float64;
  # The least share of height and width that is kept, finite. 1: all.

  shift @3 :UInt32;
  # Pixels, either way.
}

struct TrainSpec {
  # One site's work in one round.

  dataset @0 :Text;
  # By the name in the site's advert. 1 to 255 bytes.

  localEpochs @1 :UInt32;
  # Passes over the site's data in one round, at most 10,000.

  batchSize @2 :UInt32;
  # Examples in one optimiser step, at most 2^20.

  loss @3 :Loss;
  optimizer @4 :OptimizerSpec;

  balanced @5 :Bool;
  # Each task says how many steps to take, by the site's speed, instead of `localEpochs`.

  classWeights @6 :List(Float64);
  # Of each class in the loss, finite; at most 16,384. Empty: all the same.

  schedule @7 :ScheduleSpec;
  # Null: the learning rate stays as it is.

  clipNorm @8 :Float64;
  clipValue @9 :Float64;
  # Bounds of a gradient's L2 norm and of each of its values, finite. 0: none.

  freeze @10 :List(Text);
  # Names of tensors that are not trained, a * standing for any characters: at most 64, of 1 to 255
  # bytes each.

  augment @11 :AugmentSpec;
  # Null: pictures are taken as they are.

  trainer @12 :Text;
  # A trainer that sites list under this name, 1 to 63 bytes. Null: whichever a site uses.

  normalise @13 :Normalisation;
  # Null: sites give the inputs as they have them.

  proxMu @14 :Float64;
  # FedProx: the loss has proxMu/2 |w - global|^2 on top, finite. 0: it has not.

  exclude @15 :List(Text);
  privateTensors @16 :List(Text);
  # Names of tensors that each site keeps for itself, like `freeze`. No update has them.

  privateEpochs @17 :UInt32;
  # Passes over the data that train the private tensors alone, before `localEpochs` that train the
  # others alone. At most 10,000. 0: all are trained together.

  personal @18 :PersonalSpec;
  # Null: sites train no model of their own beside the shared one.
}

struct PersonalSpec {
  # A second model that each site trains for itself and never sends (Ditto).

  lambda @0 :Float64;
  # It is drawn to the global model by lambda/2 |v - global|^2. Finite.

  localEpochs @1 :UInt32;
  # Passes over the site's data in one round, at most 10,000.
}

struct Scale {
  column @0 :Text;
  # Of the inputs; 1 to 255 bytes, unique in its list.

  mean @1 :Float64;
  deviation @2 :Float64;
  # Finite. The column becomes (x - mean) / deviation.
}

struct Normalisation {
  # By which numbers inputs are normalised, the same at every site.

  from @0 :Text;
  # The job of kind `statistics` that the numbers are from, for people. May be empty.

  columns @1 :List(Scale);
  # At most 1024. A broker takes no job without them: whoever submits it looks them up.
}

struct StatisticsSpec {
  # What sites count. The dataset is train.dataset.

  columns @0 :List(Text);
  # At most 1024, of 1 to 255 bytes each. Empty: all that a site's dataset is made from.

  bins @1 :UInt32;
  # Of the histogram of each number, at most 256.

  quantiles @2 :List(Float64);
  # For people, between 0 and 1; at most 32.
}

struct EvaluateSpec {
  dataset @0 :Text;
  # By the name in the site's advert. 1 to 255 bytes.

  every @1 :UInt32;
  # Rounds between two evaluations, at most 100,000. The last round is always evaluated.

  personal @2 :Bool;
  # What is evaluated is the site's personal model instead of the global one.
}

enum Weighting {
  # What a site's update counts by in the merge.

  examples @0;  # the examples that it was made from
  steps @1;     # the optimiser steps that were taken
  uniform @2;   # all the same
  given @3;     # StrategySpec.siteWeights
}

struct StrategyParameter {
  name @0 :Text;
  # 1 to 255 bytes, unique in its list.

  value @1 :Float64;
  # Finite.
}

struct SiteWeight {
  site @0 :Text;

  weight @1 :Float64;
  # Finite, above 0.
}

struct StrategySpec {
  kind @0 :Text;
  # How updates are merged: "fedavg", "krum". 1 to 255 bytes.

  parameters @1 :List(StrategyParameter);
  # At most 64, in ascending order of their names. Which there are is not part of the protocol; one
  # that is left out has the default of its strategy.

  weights @2 :Weighting;

  siteWeights @3 :List(SiteWeight);
  # With `given`, in ascending order of the sites; a site without one weighs 1. At most 10,000.
}

struct UpdateSpec {
  # How updates are written down on their way to the broker.

  encoding @0 :Text;
  # "f16", "int8": 1 to 255 bytes. Which there are is not part of the protocol.

  fraction @1 :Float64;
  # Of "topk": the share of the values that is sent, finite. 0: the default.
}

struct StopSpec {
  # When a job ends before its last round: after `patience` evaluations in a row without an
  # improvement.

  metric @0 :Text;
  # Of the evaluations: 1 to 255 bytes. Of an error (loss, mse) less is better, of others more.

  patience @1 :UInt32;
  # At most 100,000.

  minDelta @2 :Float64;
  # An improvement is more than this. Finite.
}

enum Keep {
  # Which versions of the model the broker keeps. Receipts are kept of all.

  all @0;
  bestAndLast @1;
}

struct InitialModel {
  # The model that a job starts from.

  job @0 :Text;

  version :union {
    last @1 :Void;
    best @2 :Void;     # by that job's stop.metric; without one by the highest accuracy or lowest loss
    round @3 :UInt32;  # at most 100,000

    file :group {
      # A model file that the coordinator brings; `job` is empty.

      blob @4 :Data;
      # 32 bytes.

      bytes @5 :UInt64;
      # At most 2^40.
    }
  }
}

struct AsyncSpec {
  # Training that waits for no site (FedBuff).

  buffer @0 :UInt32;
  # Updates that one version of the model is made from, at most 10,000.

  stalenessExponent @1 :Float64;
  # An update that is s versions old weighs 1 / (1 + s)^stalenessExponent. Finite.

  stalenessMax @2 :UInt32;
  # Older ones are given up. At most 100,000.

  concurrency @3 :UInt32;
  # Sites that train at once, at most 10,000. 0: all that take part.
}

struct PredictSpec {
  # What the models at the sites are asked about.

  inputs @0 :Data;
  # 32 bytes: a safetensors file with the tensor "inputs", float32, its first dimension the examples.

  inputsBytes @1 :UInt64;
  # At most 2^40.

  examples @2 :UInt64;
  # At most 2^40.

  own @3 :Text;
  # A job: each site uses the tensors that it has left there. Null: all use the shared model.
}

enum JobKind {
  train @0;       # rounds of training at many sites, merged into one model
  evaluate @1;    # one model that there is already, judged on every site's examples
  statistics @2;  # numbers about the sites' data; without a model
  cyclic @3;      # the model travels from site to site and is trained at one after the other
  crossEvaluate @4;  # every site's model, judged on every site's examples
  predict @5;     # what the sites' models say of inputs that the coordinator brings
}

struct JobSpec {
  # What a coordinator asks for. Immutable once submitted.

  name @0 :Text;
  # 1 to 63 bytes of [a-z0-9.-], starting and ending with a letter or digit.

  rounds @1 :UInt32;
  # Training rounds, at most 100,000.

  seed :union {
    derived @2 :Void;
    # From the spec's digest.
    fixed @3 :UInt64;
  }
  # Where all randomness of the job comes from.

  deadlineMs @4 :Int64;
  # From submission to the end, in milliseconds: 0 to ten years. The clock stands while the job is
  # paused or waits for the jobs of `after`.

  stallWindowMs @5 :Int64;
  # A task that makes no progress for this long is lost, in milliseconds: 0 to ten years.

  sites @6 :SiteSelection;
  model @7 :ModelSpec;
  train @8 :TrainSpec;

  evaluate @9 :EvaluateSpec;
  # Null: the model is not evaluated at the sites.

  strategy @10 :StrategySpec;

  update @11 :UpdateSpec;
  # Null: float32.

  priority @12 :Int32;
  # -100 to 100. Among the jobs that wait for sites the highest goes first.

  resources @13 :TaskNeeds;
  # Null: none.

  stop @14 :StopSpec;
  # Null: the job runs all of its rounds.

  keep @15 :Keep;

  preemptible @16 :Bool;
  # After a round it gives its slots to a job of a higher priority that lacks nothing else.

  after @17 :List(Text);
  # Jobs that must have completed before it starts, at most 64. It fails when one of them does not.

  init @18 :InitialModel;
  # Null: a site draws the initial model from the seed.

  kind @19 :JobKind;
  # Says which of the parts above a job has. One that trains nothing says in `train` what its examples
  # are and how a model is judged by them (dataset, loss, classWeights); the rest has its defaults.

  statistics @20 :StatisticsSpec;
  # Of the kind `statistics`, otherwise null.

  async @21 :AsyncSpec;
  # Null: a round waits for its sites.

  predict @22 :PredictSpec;
  # Of the kind `predict`, otherwise null.
}

struct JobOffer {
  job @0 :Text;

  coordinator @1 :Text;
  # The name of who submitted the job, as the broker read it from that certificate.

  spec @2 :JobSpec;

  specDigest @3 :Data;
  # 32 bytes. The site computes it again and declines a job whose spec has another one.
}

struct JobReply {
  job @0 :Text;

  specDigest @1 :Data;
  # 32 bytes: of the spec that this answer is about.

  decline @2 :Refusal;
  # Null: accepted. Its code names the clause of the site's policy, or what the data lacks.
}

struct JobWaits {
  # The site can't work on the job for now: people there have not approved it yet, its hours have not
  # come, the rounds of its day are used. Neither a yes nor a no: an answer to the offer still comes,
  # an open task is still taken up. Sent when the reason changes. Nothing depends on it.

  job @0 :Text;

  specDigest @1 :Data;
  # 32 bytes: of the spec that this is about.

  reason @2 :Text;
  # One sentence for the coordinator, at most 4096 bytes. Empty: it waits no longer.
}

struct JobPaused {
  # The job holds no slot of the site for now: people have paused it, or it has gone back to the queue.
  # The site stops its trainer and its tasks; what it has promised stays, and so does a finished
  # result, which may still be announced. The job goes on with its next TaskOffer. Repeating it changes
  # nothing.

  job @0 :Text;

  reason @1 :Text;
  # One sentence for the site's people, at most 4096 bytes.
}

struct JobClosed {
  job @0 :Text;

  reason @1 :Text;
  # One sentence for the site's people, at most 4096 bytes.
}
