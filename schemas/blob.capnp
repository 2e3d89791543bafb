@0xeb2a47e52bed6884;
# The data plane: putting and getting blobs, with credit and resume.
#
# A blob is immutable bytes named by their SHA-256. Bulk bytes are never inside an envelope: a
# BlobChunk is followed by a second, raw frame with the bytes themselves, so that they go from the
# socket to the file without a copy through Cap'n Proto. No other message has a second frame.
#
#   put   peer    -> BlobPut                    I have this blob, of this size
#         broker  -> BlobReady                  send from here on, this many chunks under way
#         peer    -> BlobChunk + bytes ...      in order, without gaps
#         broker  -> BlobCredit ...             as chunks are written
#         broker  -> BlobStored                 verified and on disk
#
#   get   peer    -> BlobGet                    send me this blob from here on, with this credit
#         broker  -> BlobSize                   it has this size
#         broker  -> BlobChunk + bytes ...      in order, without gaps
#         peer    -> BlobCredit ...             as chunks are written
#
#   any   broker  -> BlobRefused                ends this transfer, not the session
#
# Grants. What an identity may put or get is granted on the control plane (ResultGrant, TaskOffer,
# the reply to ShowModel). Anything else is refused.
#
# Credit. A sender has at most the granted number of chunks under way; `credit` opens the window and
# every BlobCredit widens it again. A chunk beyond the window is a violation. A chunk is 1 byte to
# 1 MiB: how large is the sender's choice, who fits it to the line.
#
# Duplicates and resume. `blob` is the key. After a cut the peer asks again: BlobPut is answered
# with the offset where the broker's copy ends, BlobGet starts where the peer's copy ends. A BlobPut
# of a blob that is stored already is answered with BlobReady at the blob's size, followed by
# BlobStored. Transfers of different blobs may be interleaved.

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("entente::schema");

using Refusal = import "refusal.capnp".Refusal;

# In every message `blob` is 32 bytes; sizes and offsets are in bytes, at most 2^40.

struct BlobPut {
  blob @0 :Data;
  bytes @1 :UInt64;
}

struct BlobReady {
  blob @0 :Data;

  offset @1 :UInt64;
  # Of the next byte to send. Equal to the blob's size when everything is there already.

  credit @2 :UInt32;
  # Chunks that may be under way.
}

struct BlobChunk {
  blob @0 :Data;

  offset @1 :UInt64;
  # Of the first byte in the second frame.
}

struct BlobCredit {
  blob @0 :Data;

  chunks @1 :UInt32;
  # As many more chunks may be sent.
}

struct BlobStored {
  blob @0 :Data;
}

struct BlobGet {
  blob @0 :Data;

  offset @1 :UInt64;
  # Of the first byte wanted.

  credit @2 :UInt32;
  # Chunks that may be under way.
}

struct BlobSize {
  blob @0 :Data;
  bytes @1 :UInt64;
}

struct BlobRefused {
  blob @0 :Data;
  reason @1 :Refusal;
}
