// The broker's side of the data protocol (common/domain/messages.h), without a socket in sight.
//
// Rules, each with its reason:
//  - A session speaks Hello first. What follows is served under a grant or refused ("not_granted").
//  - A chunk continues its blob exactly, is within the granted size and within the credit. Anything
//    else can't come from a correct peer, so the session is closed rather than argued with.
//  - A put that is cut keeps its bytes: the next one resumes. When the resumed bytes turn out to be
//    damaged (a power cut), the put starts over by itself with a second BlobReady.
//  - What a coordinator brings comes from it alone (file_inbox.h), whatever is stored already.
//  - The same peer's newer put takes an unfinished blob over from its older session: after a broken
//    connection the broker often learns of the new one first.
//  - A stored blob is read again before it counts as an update, and while it is sent: one that is
//    damaged is quarantined. A peer checks what it gets anyway.
//  - Gets are served round robin, a few chunks a turn, so that one download never starves others.
//  - A put that was refused half-way swallows the chunks that were already under way.
//
// Not thread-safe: the data thread owns it. Time comes in as `now`. Throws std::system_error when
// the disk fails; the service must not be used after that.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <zmq.hpp>

#include "broker/data_plane/file_inbox.h"
#include "broker/data_plane/grant_book.h"
#include "common/base/ids.h"
#include "common/base/limits.h"
#include "common/base/time.h"
#include "common/blob/blob_reader.h"
#include "common/blob/blob_store.h"
#include "common/blob/pace.h"
#include "common/crypto/digest.h"
#include "common/domain/messages.h"

namespace entente::broker {

// Transfers of one session at a time. With a credit window each, all chunks under way still fit the
// session's queue.
constexpr std::size_t kTransfersPerSessionMax = 4;
static_assert(kTransfersPerSessionMax * limits::kCreditChunks < limits::kPeerMessagesMax);

class BlobService {
 public:
  struct Outputs {
    // False when the message could not be queued; the service then closes the session.
    std::function<bool(SessionId, const msg::Data&, std::optional<zmq::message_t> payload)> send;
    std::function<void(SessionId, const std::string& why)> close_session;
    std::function<void(BlobArrived)> on_arrived;
    std::function<void(BlobMoved)> on_moved;
  };

  BlobService(BlobStore& store, FileInbox& inbox, const GrantBook& grants, msg::Welcome welcome,
              Outputs outputs);
  ~BlobService();

  // `peer` is the identity's path.
  void open(SessionId session, std::string peer);
  // Keeps the resume points of the puts under way. Unknown sessions are ignored.
  void close(SessionId session);

  // A message that was decoded; those of sessions that are not open are ignored.
  void receive(SessionId session, const msg::Data& message, std::optional<zmq::message_t> payload,
               Monotonic now);
  // A file that the peer has brought, or has begun to, need not be kept apart any more; a transfer
  // of it that is still under way ends. Unless it is granted anew.
  void forget(const std::string& peer, const BlobId& blob);

  // The session sent what is no message at all.
  void receive_garbage(SessionId session, const std::string& why);

  // Sends a few chunks of every get that has credit. True when some could go on at once.
  bool serve_gets(Monotonic now);

 private:
  enum class Greeting : std::uint8_t { awaited, done, refused };

  struct Put {
    std::unique_ptr<BlobWriter> writer;  // none: refused, swallows `credit` more chunks
    bool resumed = false;                // began with bytes from an earlier try
    std::uint64_t credit = 0;            // chunks the peer may still send
    std::optional<Monotonic> reported;
  };

  struct Get {
    BlobReader reader;
    std::uint64_t offset = 0;
    std::uint64_t credit = 0;     // chunks that may still be sent
    std::uint64_t under_way = 0;  // chunks sent and not yet taken
    std::optional<Monotonic> reported;
    // Of what was sent; none for a get that did not start at 0, or of a blob just hashed.
    std::optional<Sha256> hash;
    Pace pace{};
  };

  struct Session {
    std::string peer;
    Greeting greeting = Greeting::awaited;
    std::map<BlobId, Put> puts;
    std::map<BlobId, Get> gets;
    Pace pace;  // what the gets that were served have found out about the line; the next goes on
  };

  // Chunks that each put (get) may have under way: what there is, shared.
  [[nodiscard]] std::uint32_t put_window() const;
  [[nodiscard]] std::uint32_t get_window() const;

  void greet(SessionId id, Session& session, const msg::Data& message);
  void dispatch(SessionId id, Session& session, const msg::Data& message,
                const std::optional<zmq::message_t>& payload, Monotonic now);

  // Where a put is written: with the blobs, or with what its peer has brought.
  [[nodiscard]] BlobStore& store_of(const PutGrant& grant);
  void start_put(SessionId id, Session& session, const msg::BlobPut& message);
  void take_over(const std::string& peer, const BlobId& blob);
  void begin_writing(SessionId id, Session& session, const PutGrant& grant);
  void take_chunk(SessionId id, Session& session, const msg::BlobChunk& message,
                  const zmq::message_t& payload, Monotonic now);
  void finish_put(SessionId id, Session& session, const PutGrant& grant);
  // Checks the stored blob and tells both sides. `brought` says that this put stored it.
  void settle(SessionId id, const PutGrant& grant, bool brought);

  void start_get(SessionId id, Session& session, const msg::BlobGet& message);
  // The last chunk of a damaged blob is kept back: quarantined, and the peer is told.
  [[nodiscard]] bool is_damaged(const BlobId& blob, Get& get, const zmq::message_t& chunk);
  void take_credit(SessionId id, Session& session, const msg::BlobCredit& message, Monotonic now);
  // False when the session had to be closed.
  bool send_next_chunk(SessionId id, const Session& session, const BlobId& blob, Get& get,
                       Monotonic now);

  // The session is forgotten, so references into it are dead after these two unless `send` is true.
  bool send(SessionId id, const msg::Data& message, std::optional<zmq::message_t> payload = {});
  void violate(SessionId id, const std::string& why);
  void refuse_blob(SessionId id, const BlobId& blob, Refusal reason);
  void report(const std::string& peer, const BlobId& blob, std::uint64_t done, std::uint64_t total,
              std::optional<Monotonic>& reported, Monotonic now) const;

  BlobStore& store_;
  FileInbox& inbox_;
  const GrantBook& grants_;
  const msg::Welcome welcome_;
  const Outputs outputs_;
  std::map<SessionId, Session> sessions_;
};

}  // namespace entente::broker
