#include "broker/data_plane/blob_service.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <iterator>
#include <span>
#include <utility>
#include <variant>
#include <vector>

#include "common/runtime/failpoint.h"
#include "common/tensors/update_file.h"

namespace entente::broker {
namespace {

// Enough to keep a fast link busy, few enough that a hundred gets take turns within a moment.
constexpr int kChunksPerTurn = 2;
constexpr std::chrono::seconds kReportEvery{1};

std::uint32_t share_of(std::size_t transfers) {
  return static_cast<std::uint32_t>(std::clamp<std::size_t>(
      limits::kChunksUnderWayMax / std::max<std::size_t>(transfers, 1), 1, limits::kCreditChunks));
}

Refusal not_granted(const BlobId& blob) {
  return Refusal{
      "not_granted",
      fmt::format("the broker does not expect blob {} from or for this member", blob.short_hex()),
      "ask for it on the control plane first", Scope::task};
}

Refusal too_many_transfers() {
  return Refusal{"too_many_transfers",
                 fmt::format("a session may have {} transfers under way", kTransfersPerSessionMax),
                 "wait for one of them to end", Scope::task};
}

}  // namespace

BlobService::BlobService(BlobStore& store, FileInbox& inbox, const GrantBook& grants,
                         msg::Welcome welcome, Outputs outputs)
    : store_(store),
      inbox_(inbox),
      grants_(grants),
      welcome_(std::move(welcome)),
      outputs_(std::move(outputs)) {}

BlobService::~BlobService() = default;

void BlobService::open(SessionId session, std::string peer) {
  sessions_.insert_or_assign(session, Session{std::move(peer), Greeting::awaited, {}, {}, {}});
}

void BlobService::close(SessionId session) { sessions_.erase(session); }

void BlobService::receive(SessionId id, const msg::Data& message,
                          std::optional<zmq::message_t> payload, Monotonic now) {
  const auto found = sessions_.find(id);
  if (found == sessions_.end()) {
    return;
  }
  if (payload.has_value() != std::holds_alternative<msg::BlobChunk>(message)) {
    violate(id, payload ? "a payload with a message that has none" : "a chunk without a payload");
  } else if (found->second.greeting == Greeting::done) {
    dispatch(id, found->second, message, payload, now);
  } else {
    greet(id, found->second, message);
  }
}

void BlobService::receive_garbage(SessionId session, const std::string& why) {
  if (sessions_.contains(session)) {
    violate(session, why);
  }
}

std::uint32_t BlobService::put_window() const {
  std::size_t puts = 0;
  for (const auto& [id, session] : sessions_) {
    puts += session.puts.size();
  }
  return share_of(puts);
}

std::uint32_t BlobService::get_window() const {
  std::size_t gets = 0;
  for (const auto& [id, session] : sessions_) {
    gets += session.gets.size();
  }
  return share_of(gets);
}

void BlobService::greet(SessionId id, Session& session, const msg::Data& message) {
  const auto* hello = std::get_if<msg::Hello>(&message);
  if (hello == nullptr || session.greeting == Greeting::refused) {
    violate(id, "a message outside an open session");
    return;
  }
  if (hello->protocol_min > msg::kProtocolMax || hello->protocol_max < msg::kProtocolMin) {
    // The peer hangs up when it has read why; a close from here could overtake the reason.
    session.greeting = Greeting::refused;
    send(id,
         msg::Refused{Refusal{"protocol_unsupported",
                              fmt::format("the broker speaks protocol {} to {}, the peer {} to {}",
                                          msg::kProtocolMin, msg::kProtocolMax, hello->protocol_min,
                                          hello->protocol_max),
                              "update the older of the two", Scope::site}});
    return;
  }
  session.greeting = Greeting::done;
  msg::Welcome welcome = welcome_;
  welcome.session = id;
  welcome.protocol = std::min(hello->protocol_max, msg::kProtocolMax);
  send(id, welcome);
}

void BlobService::dispatch(SessionId id, Session& session, const msg::Data& message,
                           const std::optional<zmq::message_t>& payload, Monotonic now) {
  if (const auto* put = std::get_if<msg::BlobPut>(&message)) {
    start_put(id, session, *put);
  } else if (const auto* chunk = std::get_if<msg::BlobChunk>(&message)) {
    take_chunk(id, session, *chunk, *payload, now);
  } else if (const auto* get = std::get_if<msg::BlobGet>(&message)) {
    start_get(id, session, *get);
  } else if (const auto* credit = std::get_if<msg::BlobCredit>(&message)) {
    take_credit(id, session, *credit, now);
  } else {
    violate(id, "a message that only the broker may send, or a second greeting");
  }
}

void BlobService::forget(const std::string& peer, const BlobId& blob) {
  if (grants_.put(peer, blob)) {
    return;
  }
  take_over(peer, blob);
  inbox_.forget(peer, blob);
}

BlobStore& BlobService::store_of(const PutGrant& grant) {
  return grant.is_brought ? inbox_.of(grant.peer) : store_;
}

void BlobService::start_put(SessionId id, Session& session, const msg::BlobPut& message) {
  session.puts.erase(message.blob);  // asked for again: the earlier try is over
  const std::optional<PutGrant> grant = grants_.put(session.peer, message.blob);
  if (!grant) {
    refuse_blob(id, message.blob, not_granted(message.blob));
  } else if (message.bytes != grant->bytes) {
    refuse_blob(id, message.blob,
                Refusal{"size_mismatch",
                        fmt::format("blob {} was announced with {} bytes and is offered with {}",
                                    message.blob.short_hex(), grant->bytes, message.bytes),
                        "announce it again", Scope::task});
  } else if (store_of(*grant).vouch_for(message.blob)) {
    if (send(id, msg::BlobReady{message.blob, grant->bytes, put_window()})) {
      settle(id, *grant, false);
    }
  } else if (std::count_if(session.puts.begin(), session.puts.end(), [](const auto& put) {
               return put.second.writer != nullptr;
             }) >= static_cast<std::ptrdiff_t>(kTransfersPerSessionMax)) {
    refuse_blob(id, message.blob, too_many_transfers());
  } else {
    take_over(session.peer, message.blob);
    begin_writing(id, session, *grant);
  }
}

void BlobService::take_over(const std::string& peer, const BlobId& blob) {
  for (auto& [id, session] : sessions_) {
    if (session.peer != peer) {
      continue;
    }
    if (const auto put = session.puts.find(blob); put != session.puts.end()) {
      put->second.writer.reset();
    }
  }
}

void BlobService::begin_writing(SessionId id, Session& session, const PutGrant& grant) {
  Expected<std::unique_ptr<BlobWriter>> writer =
      store_of(grant).open_writer(grant.blob, grant.bytes);
  if (!writer) {
    refuse_blob(id, grant.blob, std::move(writer.error()));
    return;
  }
  const std::uint64_t offset = (*writer)->offset();
  Put& put = session.puts
                 .insert_or_assign(grant.blob, Put{std::move(*writer), offset > 0, 0, std::nullopt})
                 .first->second;
  const std::uint32_t window = put_window();
  put.credit = window;
  if (send(id, msg::BlobReady{grant.blob, offset, window}) && offset == grant.bytes) {
    finish_put(id, session, grant);
  }
}

void BlobService::take_chunk(SessionId id, Session& session, const msg::BlobChunk& message,
                             const zmq::message_t& payload, Monotonic now) {
  const auto found = session.puts.find(message.blob);
  if (found == session.puts.end() || found->second.credit == 0) {
    violate(id, found == session.puts.end() ? "a chunk of a blob that was not put"
                                            : "more chunks than the credit allows");
    return;
  }
  Put& put = found->second;
  --put.credit;
  if (!put.writer) {
    if (put.credit == 0) {
      session.puts.erase(found);
    }
    return;
  }
  const std::optional<PutGrant> grant = grants_.put(session.peer, message.blob);
  if (!grant || grant->bytes != put.writer->size()) {
    put.writer.reset();
    refuse_blob(id, message.blob, not_granted(message.blob));
    return;
  }
  BlobWriter& writer = *put.writer;
  if (message.offset != writer.offset() || payload.size() == 0 ||
      payload.size() > limits::kChunkBytesMax || payload.size() > writer.size() - writer.offset()) {
    violate(id, "a chunk that does not continue its blob");
    return;
  }
  writer.append({payload.data<std::byte>(), payload.size()});
  report(session.peer, message.blob, writer.offset(), writer.size(), put.reported, now);
  if (writer.offset() == writer.size()) {
    finish_put(id, session, *grant);
  } else if (const std::uint32_t window = put_window(); put.credit < window) {
    const auto chunks = static_cast<std::uint32_t>(window - put.credit);
    put.credit = window;
    send(id, msg::BlobCredit{message.blob, chunks});
  }
}

void BlobService::finish_put(SessionId id, Session& session, const PutGrant& grant) {
  const auto put = session.puts.extract(grant.blob);
  // A merge may have made the same bytes meanwhile; then they are not this put's to remove.
  const bool brought = !store_of(grant).has(grant.blob);
  const Expected<void> finished = put.mapped().writer->finish();
  if (finished) {
    settle(id, grant, brought);
    return;
  }
  put.mapped().writer.reset();
  if (put.mapped().resumed) {
    begin_writing(id, session, grant);
    return;
  }
  // Sent in one go over TLS and still another digest: the sender's own file is at fault.
  refuse_blob(id, grant.blob, finished.error());
  outputs_.on_arrived(BlobArrived{grant.peer, grant.blob, tl::unexpected(finished.error())});
}

void BlobService::settle(SessionId id, const PutGrant& grant, bool brought) {
  BlobStore& store = store_of(grant);
  Expected<TensorCheck> check = TensorCheck{};
  if (const std::optional<std::uint64_t> bytes = store.size(grant.blob); bytes != grant.bytes) {
    check = refuse("size_mismatch",
                   fmt::format("blob {} has {} bytes, {} were announced", grant.blob.short_hex(),
                               bytes.value_or(0), grant.bytes),
                   "announce it again", Scope::task);
  } else if (grant.layout) {
    check = check_update(store.path(grant.blob), *grant.layout, grant.update, grant.l2_norm_max);
  }
  if (check && grant.is_brought) {
    store_.link(grant.blob, store.path(grant.blob));
  }
  if (check) {
    ENTENTE_FAILPOINT("broker.update.checked");
    send(id, msg::BlobStored{grant.blob});
    ENTENTE_FAILPOINT("broker.update.stored");
  } else {
    if (brought) {
      store.remove(grant.blob);
    }
    refuse_blob(id, grant.blob, check.error());
  }
  outputs_.on_arrived(BlobArrived{grant.peer, grant.blob, std::move(check)});
}

void BlobService::start_get(SessionId id, Session& session, const msg::BlobGet& message) {
  // Asked for again, for example from another offset. What was under way may have stalled.
  if (const auto again = session.gets.find(message.blob); again != session.gets.end()) {
    if (again->second.under_way > 0) {
      session.pace = Pace();
    }
    session.gets.erase(again);
  }
  if (!grants_.may_get(session.peer, message.blob)) {
    refuse_blob(id, message.blob, not_granted(message.blob));
    return;
  }
  if (session.gets.size() >= kTransfersPerSessionMax) {
    refuse_blob(id, message.blob, too_many_transfers());
    return;
  }
  Expected<BlobReader> reader = BlobReader::open(store_, message.blob);
  if (!reader) {
    refuse_blob(id, message.blob, std::move(reader.error()));
    return;
  }
  const std::uint64_t bytes = reader->size();
  if (message.offset > bytes) {
    violate(id, "a get from beyond the end of the blob");
    return;
  }
  if (!send(id, msg::BlobSize{message.blob, bytes}) || message.offset == bytes) {
    return;
  }
  session.gets.emplace(message.blob,
                       Get{std::move(*reader),
                           message.offset,
                           std::min<std::uint64_t>(message.credit, limits::kCreditChunks),
                           0,
                           {},
                           message.offset == 0 && !store_.is_fresh(message.blob)
                               ? std::optional<Sha256>(std::in_place)
                               : std::nullopt,
                           session.pace});
}

void BlobService::take_credit(SessionId id, Session& session, const msg::BlobCredit& message,
                              Monotonic now) {
  const auto found = session.gets.find(message.blob);
  if (found == session.gets.end()) {
    return;  // for the last chunks of a get that has been served
  }
  Get& get = found->second;
  if (message.chunks > get.under_way) {
    violate(id, "credit for chunks that were never sent");
  } else if (!grants_.may_get(session.peer, message.blob)) {
    session.gets.erase(found);
    refuse_blob(id, message.blob, not_granted(message.blob));
  } else {
    get.under_way -= message.chunks;
    get.credit += message.chunks;
    get.pace.taken(message.chunks, now);
  }
}

bool BlobService::serve_gets(Monotonic now) {
  std::vector<SessionId> ids;
  for (const auto& [id, session] : sessions_) {
    if (!session.gets.empty()) {
      ids.push_back(id);
    }
  }
  const std::uint32_t window = get_window();
  const auto may_send = [window](const Get& get) {
    return get.credit > 0 && get.under_way < window;
  };
  bool more = false;
  for (const SessionId id : ids) {
    Session& session = sessions_.at(id);
    bool alive = true;
    for (auto it = session.gets.begin(); alive && it != session.gets.end();) {
      auto& [blob, get] = *it;
      for (int i = 0; alive && i < kChunksPerTurn && may_send(get); ++i) {
        alive = send_next_chunk(id, session, blob, get, now);
        if (alive && get.offset == get.reader.size()) {
          break;
        }
      }
      if (alive) {
        const bool served = get.offset == get.reader.size();
        more = more || (!served && may_send(get));
        if (served) {
          session.pace = std::move(get.pace);
          session.pace.forget_under_way();
          it = session.gets.erase(it);
        } else {
          ++it;
        }
      }
    }
  }
  return more;
}

bool BlobService::is_damaged(const BlobId& blob, Get& get, const zmq::message_t& chunk) {
  if (!get.hash) {
    return false;
  }
  get.hash->update({chunk.data<std::byte>(), chunk.size()});
  if (get.offset + chunk.size() < get.reader.size() || get.hash->finish() == blob) {
    return false;
  }
  (void)store_.vouch_for(blob);
  return true;
}

bool BlobService::send_next_chunk(SessionId id, const Session& session, const BlobId& blob,
                                  Get& get, Monotonic now) {
  zmq::message_t chunk = get.reader.chunk_at(get.offset, get.pace.chunk_bytes());
  const std::uint64_t bytes = chunk.size();
  if (is_damaged(blob, get, chunk)) {
    get.offset = get.reader.size();  // served, as far as it ever will be
    return send(id, msg::BlobRefused{
                        blob, Refusal{"blob_damaged",
                                      fmt::format("the broker's copy of blob {} is "
                                                  "damaged; it has put it aside",
                                                  blob.short_hex()),
                                      "have the operator check the broker's disk", Scope::task}});
  }
  if (!send(id, msg::BlobChunk{blob, get.offset}, std::move(chunk))) {
    return false;
  }
  get.offset += bytes;
  --get.credit;
  ++get.under_way;
  get.pace.sent(now);
  report(session.peer, blob, get.offset, get.reader.size(), get.reported, now);
  return true;
}

bool BlobService::send(SessionId id, const msg::Data& message,
                       std::optional<zmq::message_t> payload) {
  if (outputs_.send(id, message, std::move(payload))) {
    return true;
  }
  violate(id, "the session does not take what it asked for");
  return false;
}

void BlobService::violate(SessionId id, const std::string& why) {
  sessions_.erase(id);
  outputs_.close_session(id, why);
}

void BlobService::refuse_blob(SessionId id, const BlobId& blob, Refusal reason) {
  send(id, msg::BlobRefused{blob, std::move(reason)});
}

void BlobService::report(const std::string& peer, const BlobId& blob, std::uint64_t done,
                         std::uint64_t total, std::optional<Monotonic>& reported,
                         Monotonic now) const {
  if (reported && now - *reported < kReportEvery) {
    return;
  }
  reported = now;
  outputs_.on_moved(BlobMoved{peer, blob, done, total});
}

}  // namespace entente::broker
