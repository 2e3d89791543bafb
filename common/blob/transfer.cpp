#include "common/blob/transfer.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <utility>
#include <variant>

#include "common/base/limits.h"
#include "common/blob/blob_reader.h"
#include "common/blob/data_frames.h"
#include "common/runtime/system_clock.h"

namespace entente {
namespace {

using Clock = std::chrono::steady_clock;

// How long a stop may go unnoticed while nothing arrives.
constexpr Millis kStopNoticed{100};

struct Incoming {
  msg::Data message;
  std::optional<zmq::message_t> payload;
};

tl::unexpected<Refusal> protocol_broken(const std::string& what) {
  return refuse("protocol_broken", "the broker broke the data protocol: " + what,
                "compare the versions of broker and client", Scope::task);
}

tl::unexpected<Refusal> cut(const net::ClientSession& session) {
  const std::optional<Refusal> ended = session.ended();
  return refuse(
      "transfer_cut",
      ended ? "the data session has ended: " + ended->message
            : fmt::format("nothing has moved for {} s", limits::kTransferSilenceMax.count()),
      "try again; what has arrived is kept", Scope::task);
}

// The blob that a message is about; nothing for the session's own messages.
std::optional<BlobId> blob_of(const msg::Data& message) {
  return std::visit(
      [](const auto& body) -> std::optional<BlobId> {
        if constexpr (requires { body.blob; }) {
          return body.blob;
        } else {
          return std::nullopt;
        }
      },
      message);
}

// The next message within `limit`. A kind that a newer broker has added is skipped.
Expected<Incoming> receive(net::ClientSession& session, Clock::duration limit,
                           const StopFlag* stop) {
  const Clock::time_point deadline = Clock::now() + limit;
  do {
    if (stop != nullptr && stop->load()) {
      return refuse("stopped", "the transfer was stopped", {}, Scope::task);
    }
    std::optional<net::Frames> frames = session.receive(kStopNoticed);
    if (!frames) {
      if (session.ended()) {
        break;
      }
      continue;
    }
    Expected<msg::Data> message = message_of(*frames);
    if (message) {
      return Incoming{std::move(*message), std::move(frames->payload)};
    }
    if (message.error().code != "message_unknown") {
      return protocol_broken(message.error().message);
    }
  } while (Clock::now() < deadline);
  return cut(session);
}

// One blob's conversation on a session.
class Transfer {
 public:
  Transfer(net::ClientSession& session, const BlobId& blob, const TransferProgress& progress,
           const StopFlag& stop)
      : session_(session), blob_(blob), progress_(progress), stop_(stop) {}

  [[nodiscard]] Expected<void> send(const msg::Data& message,
                                    std::optional<zmq::message_t> payload = {}) {
    if (!session_.send(to_frames(message, std::move(payload)))) {
      return cut(session_);
    }
    return {};
  }

  // The next message about this blob; what an earlier, stopped transfer of another one still
  // brings is passed over. Refusals of the blob or of the session come back as refusals.
  [[nodiscard]] Expected<Incoming> next() {
    for (;;) {
      Expected<Incoming> incoming = receive(session_, limits::kTransferSilenceMax, &stop_);
      if (!incoming) {
        return incoming;
      }
      if (const auto* refused = std::get_if<msg::Refused>(&incoming->message)) {
        return tl::unexpected(refused->reason);
      }
      if (blob_of(incoming->message) != blob_) {
        continue;
      }
      if (const auto* refused = std::get_if<msg::BlobRefused>(&incoming->message)) {
        return tl::unexpected(refused->reason);
      }
      return incoming;
    }
  }

  void report(std::uint64_t done, std::uint64_t total) const {
    if (progress_) {
      progress_(done, total);
    }
  }

  [[nodiscard]] bool stopped() const { return stop_.load(); }

 private:
  net::ClientSession& session_;
  const BlobId blob_;
  const TransferProgress& progress_;
  const StopFlag& stop_;
};

class Put {
 public:
  Put(Transfer& transfer, Pace& pace, const BlobId& blob, BlobReader reader)
      : transfer_(transfer), pace_(pace), blob_(blob), reader_(std::move(reader)) {}

  [[nodiscard]] Expected<void> run() {
    Expected<void> moved = transfer_.send(msg::BlobPut{blob_, reader_.size()});
    while (moved && !stored_) {
      const Expected<Incoming> incoming = transfer_.next();
      if (!incoming) {
        return tl::unexpected(incoming.error());
      }
      moved = take(incoming->message).and_then([this] { return send_what_credit_allows(); });
    }
    return moved;
  }

 private:
  [[nodiscard]] Expected<void> take(const msg::Data& message) {
    if (const auto* ready = std::get_if<msg::BlobReady>(&message)) {
      if (ready->offset > reader_.size()) {
        return protocol_broken("it asks for bytes beyond the end of the blob");
      }
      // May come again: the broker found its resumed part damaged and starts over.
      ready_ = true;
      offset_ = ready->offset;
      pace_.forget_under_way();
      credit_ = std::min<std::uint64_t>(ready->credit, limits::kCreditChunks);
    } else if (const auto* credit = std::get_if<msg::BlobCredit>(&message)) {
      // Before BlobReady it belongs to an earlier try on this session.
      credit_ = std::min<std::uint64_t>(credit_ + credit->chunks, limits::kCreditChunks);
      pace_.taken(credit->chunks, system_now().monotonic);
    } else if (std::holds_alternative<msg::BlobStored>(message)) {
      stored_ = true;
    }
    return {};
  }

  [[nodiscard]] Expected<void> send_what_credit_allows() {
    while (ready_ && !stored_ && credit_ > 0 && offset_ < reader_.size() && !transfer_.stopped()) {
      zmq::message_t chunk = reader_.chunk_at(offset_, pace_.chunk_bytes());
      const std::uint64_t end = offset_ + chunk.size();
      Expected<void> sent = transfer_.send(msg::BlobChunk{blob_, offset_}, std::move(chunk));
      if (!sent) {
        return sent;
      }
      offset_ = end;
      --credit_;
      pace_.sent(system_now().monotonic);
      transfer_.report(offset_, reader_.size());
    }
    return {};
  }

  Transfer& transfer_;
  Pace& pace_;
  const BlobId blob_;
  const BlobReader reader_;
  bool ready_ = false;
  bool stored_ = false;
  std::uint64_t offset_ = 0;
  std::uint64_t credit_ = 0;
};

Expected<std::uint64_t> await_size(Transfer& transfer) {
  for (;;) {
    const Expected<Incoming> incoming = transfer.next();
    if (!incoming) {
      return tl::unexpected(incoming.error());
    }
    // Anything else is left over from an earlier try on this session.
    if (const auto* size = std::get_if<msg::BlobSize>(&incoming->message)) {
      return size->bytes;
    }
  }
}

Expected<void> append_chunk(BlobWriter& writer, const Incoming& incoming) {
  const auto* chunk = std::get_if<msg::BlobChunk>(&incoming.message);
  if (chunk == nullptr || !incoming.payload) {
    return protocol_broken("a chunk was due, something else came");
  }
  const std::span<const std::byte> bytes = bytes_of(*incoming.payload);
  if (chunk->offset != writer.offset() || bytes.empty() || bytes.size() > limits::kChunkBytesMax ||
      bytes.size() > writer.size() - writer.offset()) {
    return protocol_broken("a chunk does not continue the blob");
  }
  writer.append(bytes);
  return {};
}

// Asks for what follows `offset`, with credit for a window or without; returns the blob's size.
Expected<std::uint64_t> ask(Transfer& transfer, const BlobId& blob, std::uint64_t offset,
                            std::size_t credit) {
  return transfer.send(msg::BlobGet{blob, offset, static_cast<std::uint32_t>(credit)})
      .and_then([&] { return await_size(transfer); });
}

// Takes the chunks that were asked for.
Expected<void> receive_into(BlobWriter& writer, Transfer& transfer, const BlobId& blob) {
  Expected<void> moved;
  while (moved && writer.offset() < writer.size()) {
    const Expected<Incoming> incoming = transfer.next();
    if (!incoming) {
      return tl::unexpected(incoming.error());
    }
    moved = append_chunk(writer, *incoming);
    if (moved && writer.offset() < writer.size()) {
      moved = transfer.send(msg::BlobCredit{blob, 1});
    }
    transfer.report(writer.offset(), writer.size());
  }
  return moved;
}

}  // namespace

Expected<msg::Welcome> open_data_plane(net::ClientSession& session, const msg::Hello& hello) {
  if (!session.send(to_frames(hello))) {
    return cut(session);
  }
  const Expected<Incoming> answer = receive(session, limits::kHandshakeMax, nullptr);
  if (!answer) {
    if (const std::optional<Refusal> ended = session.ended()) {
      return tl::unexpected(*ended);
    }
    if (answer.error().code != "transfer_cut") {
      return tl::unexpected(answer.error());
    }
    return refuse(
        "broker_unreachable",
        fmt::format("the broker has not answered for {} s", limits::kHandshakeMax.count()),
        "check that the broker is running, then try again", Scope::broker);
  }
  if (const auto* welcome = std::get_if<msg::Welcome>(&answer->message)) {
    return *welcome;
  }
  if (const auto* refused = std::get_if<msg::Refused>(&answer->message)) {
    return tl::unexpected(refused->reason);
  }
  return protocol_broken("it did not answer the greeting");
}

Expected<void> put_blob(net::ClientSession& session, Pace& pace, const BlobStore& store,
                        const BlobId& blob, const TransferProgress& progress,
                        const StopFlag& stop) {
  Expected<BlobReader> reader = BlobReader::open(store, blob);
  if (!reader) {
    return tl::unexpected(reader.error());
  }
  Transfer transfer(session, blob, progress, stop);
  return Put(transfer, pace, blob, std::move(*reader)).run();
}

Expected<void> get_blob(net::ClientSession& session, BlobStore& store, const BlobId& blob,
                        const TransferProgress& progress, const StopFlag& stop) {
  if (store.has(blob)) {
    return {};
  }
  Transfer transfer(session, blob, progress, stop);
  // The first window may come along with the size: it waits in the session's queue while the space
  // is reserved. Not so when a part is there already, which is hashed first: then only the size.
  bool asked = !store.has_partial(blob);
  const Expected<std::uint64_t> bytes = ask(transfer, blob, 0, asked ? limits::kCreditChunks : 0);
  if (!bytes) {
    return tl::unexpected(bytes.error());
  }
  for (;; asked = false) {
    Expected<std::unique_ptr<BlobWriter>> writer = store.open_writer(blob, *bytes, Keeping::copy);
    if (!writer) {
      return tl::unexpected(writer.error());
    }
    const bool resumed = (*writer)->offset() > 0;
    if (!asked || resumed) {
      const auto size = ask(transfer, blob, (*writer)->offset(), limits::kCreditChunks);
      if (!size) {
        return tl::unexpected(size.error());
      }
      if (*size != *bytes) {
        return protocol_broken("the blob has changed its size");
      }
    }
    const Expected<void> received = receive_into(**writer, transfer, blob);
    if (!received) {
      return received;
    }
    Expected<void> finished = (*writer)->finish();
    // A resumed part may have been damaged by a crash; it is gone now, so the next try is clean.
    if (finished || finished.error().code != "blob_corrupt" || !resumed) {
      return finished;
    }
  }
}

}  // namespace entente
