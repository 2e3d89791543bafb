@0xc73aab70d9bf7a00;
# What coordinators ask the broker, and what they see of jobs, sites and models.
#
#   coordinator -> Request     one question or order
#   broker      -> Reply       exactly one for each request, with the request's id
#   broker      -> JobUpdate   any number after the reply to a WatchJob, with that request's id,
#                              until the job has ended or the session is over
#
# Replies may overtake each other. Who may ask what follows from the role in the certificate.
#
# Ids and their lifetimes
#
#   id     of a request, chosen by the sender. It names the request within its session and nothing
#          beyond it; a sender does not use one twice.
#   seq    of a job's event: durable, per job, from 1, without gaps. A watcher that comes back asks
#          with the last `seq` that it has seen and misses nothing.
#
# Repeating a request. Everything may be repeated freely: questions change nothing, and a job ends
# once. Only a SubmitJob without a token makes another job each time.
#
# A view is what the broker knew when it answered. It changes nothing and promises nothing.

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("entente::schema");

using JobKind = import "job.capnp".JobKind;
using JobSpec = import "job.capnp".JobSpec;
using Metric = import "task.capnp".Metric;
using NamedSums = import "task.capnp".NamedSums;
using Refusal = import "refusal.capnp".Refusal;
using SiteAdvert = import "site.capnp".SiteAdvert;
using TaskKind = import "task.capnp".TaskKind;
using TaskProgress = import "task.capnp".TaskProgress;

# ======================================================================================
# Views. Times are milliseconds since 1970-01-01 UTC; sizes are in bytes; digests and blobs are
# 32 bytes; a list has at most as many entries as fit into a message of 1 MiB.

enum JobState {
  queued @0;     # waits until it can claim enough sites at once
  matching @1;   # has claimed sites and asks them
  running @2;
  completed @3;  # this and the next two are final
  failed @4;
  aborted @5;
  paused @6;     # by people; not final, holds no slots
}

enum RoundState {
  selecting @0;
  training @1;
  merging @2;
  done @3;
}

enum Enrolment {
  # A site's part in a job: asked, then in or out.

  offered @0;
  accepted @1;
  declined @2;
}

enum TaskState {
  pending @0;    # to be sent when the site is connected
  running @1;    # the site has it
  uploading @2;  # the result is announced and its blob is on the way
  done @3;
  failed @4;
  lost @5;       # no progress for the stall window
}

enum JobEventKind {
  submitted @0;
  siteAccepted @1;
  siteDeclined @2;
  started @3;
  roundStarted @4;
  updateAccepted @5;
  updateRefused @6;
  taskFailed @7;
  taskLost @8;
  roundMerged @9;
  evaluated @10;
  completed @11;
  failed @12;
  aborted @13;
  siteReplaced @14;
  siteReturned @15;
  siteDraining @16;
  siteWaits @17;
  paused @18;
  resumed @19;
  queued @20;       # gives its slots back and waits again
  initialized @21;  # from another job's model
}

struct JobEvent {
  seq @0 :UInt64;
  unixMs @1 :Int64;
  kind @2 :JobEventKind;

  round @3 :UInt32;
  # 0 when no round is meant.

  site @4 :Text;
  # Empty when no one site is meant.

  text @5 :Text;
  # The whole event as one sentence for people, at most 4096 bytes.

  metrics @6 :List(Metric);
  # At most 64.

  examples @7 :UInt64;
  bytes @8 :UInt64;
}

struct JobSummary {
  id @0 :Text;
  state @1 :JobState;

  coordinator @2 :Text;
  # The name of who submitted it.

  round @3 :UInt32;
  # Rounds finished.

  rounds @4 :UInt32;
  # Rounds asked for.

  submittedUnixMs @5 :Int64;

  reason @6 :Text;
  # Why it waits, or how it ended: for people, at most 4096 bytes.

  kind @7 :JobKind;
}

struct JobSiteView {
  # A site's part in a job, and what has left that site for it so far.

  site @0 :Text;
  enrolment @1 :Enrolment;

  reason @2 :Text;
  # Of a decline or of the last failure: for people, at most 4096 bytes.

  connected @3 :Bool;
  updatesAccepted @4 :UInt32;

  bytesOut @5 :UInt64;
  # Of models and updates received from the site.

  tensorsOut @6 :UInt64;
  # Tensors in them.

  examples @7 :UInt64;
  # Of its last update, at most 2^40.

  task :union {
    none @8 :Void;
    kind @9 :TaskKind;
  }
  # What it is doing now.

  taskState @10 :TaskState;
  progress @11 :TaskProgress;

  standsBy @12 :Bool;
  # It has accepted the job, and all places are taken: it waits for one to become vacant.

  sitsOut @13 :Bool;
  # It holds a place, and was not drawn for the open round.

  evaluateMetrics @14 :List(Metric);
  evaluationExamples @15 :UInt64;
  evaluatedRound @16 :UInt32;
  # The site's own part in the newest evaluation that has counted it: its metrics, at most 64, its
  # examples, at most 2^40, and the round. 0: none has.
}

struct SiteEvaluation {
  # What one site has found of a model, on its own examples.

  site @0 :Text;
  metrics @1 :List(Metric);

  examples @2 :UInt64;
  # At most 2^40.
}

struct RoundView {
  round @0 :UInt32;
  state @1 :RoundState;

  updates @2 :UInt32;
  # Accepted so far.

  trainMetrics @3 :List(Metric);
  # Means over sites, weighted by examples.

  evaluateMetrics @4 :List(Metric);
  # Of the round's model, over all sites that were counted. Empty until it is evaluated.

  model @5 :Data;
  # The merged model. Null until the round is done.

  removed @6 :Bool;
  # The model is no longer kept.

  evaluatedAt @7 :UInt32;
  evaluationExamples @8 :UInt64;
  # Sites that were counted in evaluateMetrics, at most 10,000, and their examples, each site's at most 2^40.

  atSites @9 :List(SiteEvaluation);
  # Of the kind `crossEvaluate`: what each of them has found, at most 10,000. Empty otherwise.

  modelOf @10 :Text;
  # The site whose model the round's is. Empty: it is merged.
}

struct JobView {
  summary @0 :JobSummary;
  spec @1 :JobSpec;
  specDigest @2 :Data;

  sites @3 :List(JobSiteView);
  # In order of their names, at most 10,000.

  rounds @4 :List(RoundView);
  # From round 0 on.

  statistics @5 :List(NamedSums);
  # Of the kind `statistics`: what all sites have counted, together, as far as its rounds are done.
}

struct SiteView {
  site @0 :Text;
  connected @1 :Bool;
  lastSeenUnixMs @2 :Int64;
  advert @3 :SiteAdvert;

  jobs @4 :List(Text);
  # Ids of the jobs that it takes part in now.

  draining @5 :Bool;
  # It finishes the tasks that it has and gets no new ones.

  drainReason @6 :Text;
  # For people, at most 4096 bytes.

  openTasks @7 :UInt32;
  # Of all its jobs: what a draining site has still to finish.
}

enum SiteStanding {
  # What a site is to a job.

  takingPart @0;  # has accepted and holds a slot for it
  asked @1;       # has not answered yet
  free @2;        # fits and has a free slot
  busy @3;        # fits, and others hold all its slots
  away @4;        # fits and is not connected, or draining
  declined @5;    # by its own policy, or its data does not fit
  excluded @6;    # fails a rule of the job
}

struct SiteExplanation {
  site @0 :Text;
  standing @1 :SiteStanding;

  sentences @2 :List(Text);
  # A sentence for each rule that the site fails, or one that says more about its standing: for
  # people, at most 100 of at most 4096 bytes.
}

struct Explanation {
  # Why a job is where it is. True when it was made; it promises nothing.

  job @0 :Text;
  # Empty: it was not submitted.

  state @1 :JobState;

  sentence @2 :Text;
  # The whole of it: for people, at most 4096 bytes.

  place @3 :UInt32;
  # In the queue, from 1. 0: it does not wait.

  ahead @4 :List(Text);
  # The jobs before it in the queue, the first one first; of a long queue the nearest hundred.

  reserved @5 :List(Text);
  # Sites whose free slots are kept for it.

  changes @6 :List(Text);
  # What must happen before it starts, a sentence each: for people, at most 1000 of at most 4096
  # bytes.

  sites @7 :List(SiteExplanation);
  # By standing, then by name, as many as one message holds.

  sitesLeftOut @8 :UInt32;
  # How many more there are.
}

struct Contribution {
  # One accepted update in a model's receipt.

  site @0 :Text;
  update @1 :Data;

  examples @2 :UInt64;
  # At most 2^40.

  weight @3 :Float64;
  # Share in the merge; the weights of a receipt add up to 1. Finite.

  steps @4 :UInt64;
  # Optimiser steps that the site has taken.

  startedFrom @5 :UInt32;
  # The version of the model that the update was trained from.
}

struct ModelView {
  # The receipt of one model version: who holds the updates can compute the model again.

  job @0 :Text;
  # Also the model's name.

  version @1 :UInt32;
  # The round that made it; 0 is the initial model.

  blob @2 :Data;

  bytes @3 :UInt64;
  # At most 2^40.

  publishedUnixMs @4 :Int64;
  specDigest @5 :Data;

  strategy @6 :Text;
  # That merged it, at most 255 bytes: one of docs/strategies.md, "initialize" for a version 0, "single"
  # for the model of one site, into which nothing else is merged.

  parent @7 :Data;
  # The model that the updates started from. Null for a version 0 that a site has made.

  contributions @8 :List(Contribution);
  # In order of the sites' names, at most 10,000. Empty for version 0.

  evaluateMetrics @9 :List(Metric);

  serverState @10 :Data;
  # The state of the server's optimiser after this version, of a strategy that has one. The next
  # version is made from it, too. Null otherwise.

  removed @11 :Bool;
  # Only this receipt is kept; the model itself cannot be had any more.

  origin @12 :Text;
  # Of a version 0 that is another job's model: which one, as "lung-1@3". At most 255 bytes. Empty
  # otherwise.
}

struct AuditEntry {
  # The log is a hash chain: `hash` is the SHA-256 over the hash of the entry before (32 zero bytes
  # for the first) and the fields seq, unixMs, actor, action, object and detail: of each its length in
  # bytes, a colon and its bytes, numbers in decimal.

  seq @0 :UInt64;
  # From 1, without gaps.

  unixMs @1 :Int64;
  actor @2 :Text;
  action @3 :Text;
  object @4 :Text;
  detail @5 :Text;
  # What was hashed, unchanged. Show it as text from outside.

  hash @6 :Data;
}

# ======================================================================================
# Requests

struct SubmitJob {
  # Answered with the new job's summary once the job is durable.
  spec @0 :JobSpec;

  token @1 :Text;
  # At most 255 bytes. With one, repeating the request is safe: a coordinator's second request with the
  # same token and spec is answered with the job that the first one made, and one with another spec
  # is refused.
}

struct ListJobs {
  # Answered with the jobs that the broker keeps.

  state :union {
    any @0 :Void;
    only @1 :JobState;
  }

  mine @2 :Bool;
  # Only those that the sender has submitted.
}

struct ShowJob {
  # Answered with the job's view.
  job @0 :Text;
}

struct WatchJob {
  # Answered with done; JobUpdate messages follow.
  job @0 :Text;

  afterSeq @1 :UInt64;
  # The first event wanted is the one after it. 0: from the beginning.
}

struct ListEvents {
  # Answered with the job's events that follow `afterSeq`, as many as fit into one message; with none
  # when there are no more yet.
  job @0 :Text;
  afterSeq @1 :UInt64;
}

struct AbortJob {
  # Answered with done once the end is durable.
  job @0 :Text;

  reason @1 :Text;
  # For people, at most 4096 bytes.
}

struct PauseJob {
  # Of the job's coordinator and of operators. Answered with the job's summary once it is durable. The
  # job gives its slots back until a ResumeJob; updates that were accepted stay accepted. Repeating it
  # with another reason, not an empty one, replaces the reason.
  job @0 :Text;

  reason @1 :Text;
  # For people, at most 4096 bytes.
}

struct ResumeJob {
  # Answered with the job's summary once it is durable; also when the job was not paused. It waits in
  # the queue, with its place by age, and goes on where it was.
  job @0 :Text;
}

struct DrainSite {
  # Of operators only. Answered with done once it is durable. From then on the site finishes the tasks
  # that it has and gets no new ones, until a ResumeSite. Repeating it with another reason, not an
  # empty one, replaces the reason.
  site @0 :Text;

  reason @1 :Text;
  # For people, at most 4096 bytes.
}

struct ResumeSite {
  # Of operators only. Answered with done once it is durable; also when the site was not draining.
  site @0 :Text;
}

struct ExplainJob {
  # Answered with an explanation.
  job @0 :Text;
}

struct ExplainSpec {
  # Answered as SubmitJob would be when it is refused, and otherwise with an explanation of what
  # would happen to the job. Nothing is stored.
  spec @0 :JobSpec;
}

struct ListSites {}
# Answered with all sites that the broker has ever seen.

struct ListModels {
  # Answered with the models that the broker keeps.

  job @0 :Text;
  # Only this one's. Empty: of all jobs.
}

struct ShowModel {
  # Answered with the model's receipt. With the reply this coordinator may get the model's blob on
  # the data plane.

  job @0 :Text;

  version :union {
    newest @1 :Void;
    round @2 :UInt32;
  }
}

struct ShowAudit {
  # Answered with the newest entries of the audit log, the very newest last. Of auditors and operators;
  # a coordinator names a job of its own.

  job @0 :Text;
  # Only what concerns this job and its models. Empty: everything.

  limit @1 :UInt32;
  # Entries at most; a message holds some hundreds.
}

struct ReadAudit {
  # Answered with the entries that follow `afterSeq`, as many as fit into one message; with none at the
  # end of the log. Of auditors and operators.
  afterSeq @0 :UInt64;
}

struct Request {
  id @0 :UInt64;

  body :union {
    unset @1 :Void;
    # What an empty message looks like; never sent.

    submitJob @2 :SubmitJob;
    listJobs @3 :ListJobs;
    showJob @4 :ShowJob;
    watchJob @5 :WatchJob;
    abortJob @6 :AbortJob;
    listSites @7 :ListSites;
    listModels @8 :ListModels;
    showModel @9 :ShowModel;
    drainSite @10 :DrainSite;
    resumeSite @11 :ResumeSite;
    explainJob @12 :ExplainJob;
    explainSpec @13 :ExplainSpec;
    showAudit @14 :ShowAudit;
    readAudit @15 :ReadAudit;
    listEvents @16 :ListEvents;
    pauseJob @17 :PauseJob;
    resumeJob @18 :ResumeJob;
  }
}

struct Done {}
# It has been done, and there is nothing to show for it.

struct Reply {
  id @0 :UInt64;
  # Of the request.

  body :union {
    unset @1 :Void;
    # What an empty message looks like; never sent.

    done @2 :Done;                 # to AbortJob, WatchJob, DrainSite and ResumeSite
    refusal @3 :Refusal;           # to any request
    job @4 :JobSummary;            # to SubmitJob, PauseJob and ResumeJob
    jobs @5 :List(JobSummary);     # to ListJobs
    jobView @6 :JobView;           # to ShowJob
    sites @7 :List(SiteView);      # to ListSites
    models @8 :List(ModelView);    # to ListModels
    model @9 :ModelView;           # to ShowModel
    explanation @10 :Explanation;  # to ExplainJob and ExplainSpec
    audit @11 :List(AuditEntry);   # to ShowAudit and ReadAudit
    events @12 :List(JobEvent);    # to ListEvents
  }
}

struct JobUpdate {
  id @0 :UInt64;
  # Of the WatchJob request.

  summary @1 :JobSummary;

  events @2 :List(JobEvent);
  # Each once, in order of `seq`, following those of the update before.

  sites @3 :List(JobSiteView);
  # As they are now; sent beside the events and not kept. At most 10,000.
}
