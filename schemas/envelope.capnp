@0xd2a7b6f0c1e34a51;
# The envelopes: the first frame of every message is exactly one of these, in Cap'n Proto's standard
# framing (a segment table, then the segments).
#
# Two planes, two envelopes. The control plane carries decisions and is never delayed by bulk data;
# the data plane moves blobs. A message of one plane cannot be expressed on the other.
#
# Golden rule: bulk bytes are never in an envelope. A message is one frame; only a BlobChunk has a
# second, and that one is raw bytes. A third frame ends the session; a control envelope of more than
# 1 MiB and a data envelope of more than 64 KiB are illegal.
#
# What a receiver does with
#
#   a member it does not know    "message_unknown": ignores the message, and the session may go on;
#                                the peer is newer. Nothing depends on an answer that only a newer
#                                peer could give; the capabilities in Hello see to that.
#   an illegal value             "message_invalid": drops the message and may end the session. A
#                                name, enumerator, digest, list or number that its schema does not
#                                allow is never repaired; only texts for people are cut to 4096
#                                bytes and cleaned of control characters.
#   a field it does not know     ignores it; reading gives the same as without.
#   a message twice              does the same as once; each message's file says what its key is.
#
# `unset` is what an empty or cut message looks like. It is never sent and always illegal.

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("entente::schema");

using Session = import "session.capnp";
using Site = import "site.capnp";
using Job = import "job.capnp";
using Task = import "task.capnp";
using Coordinator = import "coordinator.capnp";
using Blob = import "blob.capnp";

struct ControlEnvelope {
  union {
    unset @0 :Void;

    # Session, see session.capnp.
    hello @1 :Session.Hello;      # to the broker
    welcome @2 :Session.Welcome;  # from the broker
    refused @3 :Session.Refused;  # from the broker

    # Broker and site, see site.capnp, job.capnp and task.capnp.
    advert @4 :Site.Advert;                  # to the broker
    jobOffer @5 :Job.JobOffer;               # to the site
    jobReply @6 :Job.JobReply;               # to the broker
    jobClosed @7 :Job.JobClosed;             # to the site
    taskOffer @8 :Task.TaskOffer;            # to the site
    taskReport @9 :Task.TaskReport;          # to the broker
    resultAnnounce @10 :Task.ResultAnnounce; # to the broker
    resultGrant @11 :Task.ResultGrant;       # to the site
    resultVerdict @12 :Task.ResultVerdict;   # to the site
    taskFailed @13 :Task.TaskFailed;         # to the broker

    # Coordinator, see coordinator.capnp.
    request @14 :Coordinator.Request;      # to the broker
    reply @15 :Coordinator.Reply;          # from the broker
    jobUpdate @16 :Coordinator.JobUpdate;  # from the broker

    jobWaits @17 :Job.JobWaits;    # from a site, to the broker; see job.capnp
    jobPaused @18 :Job.JobPaused;  # to the site; see job.capnp
  }
}

struct DataEnvelope {
  union {
    unset @0 :Void;

    # Session, see session.capnp.
    hello @1 :Session.Hello;
    welcome @2 :Session.Welcome;
    refused @3 :Session.Refused;

    # Transfers, see blob.capnp.
    blobPut @4 :Blob.BlobPut;          # to the broker
    blobReady @5 :Blob.BlobReady;      # from the broker
    blobChunk @6 :Blob.BlobChunk;      # from whoever sends; the bytes are the second frame
    blobCredit @7 :Blob.BlobCredit;    # from whoever receives
    blobStored @8 :Blob.BlobStored;    # from the broker
    blobGet @9 :Blob.BlobGet;          # to the broker
    blobSize @10 :Blob.BlobSize;       # from the broker
    blobRefused @11 :Blob.BlobRefused; # from the broker
  }
}
