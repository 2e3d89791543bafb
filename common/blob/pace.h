// Decides how large the chunks of a session's transfers are, from how long the earlier ones were
// under way.
//
// limits::kCreditChunks chunks may be under way, so their size is the length of the queue before
// the line. Whatever shares the line (heartbeats, control messages) waits behind that queue, and a
// session on which no whole message arrives for limits::kHeartbeatTimeout is taken for dead. So:
//
//  - The first chunks of a session are small: nothing is known about the line yet. Its later
//    transfers go on with what the earlier ones have found out.
//  - They double when a whole window has met a queue shorter than kQueueShort, so that a fast line
//    carries full chunks after a few round trips. They are halved when one chunk has met a queue
//    longer than kQueueLong.
//  - The queue is what a chunk took beyond the quickest one of the session: a line that is long but
//    empty is not taken for a full one. Source: LEDBAT (RFC 6817), section 2.4.2.
//  - A chunk that was sent before the last change tells nothing about it, and is not counted.
//
// Pure; one per transfer under way, at the side that sends.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>

#include "common/base/limits.h"
#include "common/base/time.h"

namespace entente {

class Pace {
 public:
  static constexpr Millis kQueueShort{500};
  static constexpr Millis kQueueLong{3000};

  // Of the next chunk: limits::kChunkBytesMin to limits::kChunkBytesMax.
  [[nodiscard]] std::size_t chunk_bytes() const { return chunk_bytes_; }

  void sent(Monotonic now);
  // The peer has taken the oldest `chunks` of those under way; more than were sent are ignored.
  void taken(std::uint64_t chunks, Monotonic now);
  // What was under way will never be taken: its transfer has ended, or starts over.
  void forget_under_way() { under_way_.clear(); }

 private:
  struct Chunk {
    Monotonic sent_at;
    bool of_this_size;  // sent after the last change
  };
  void met(Millis queue);
  void change_to(std::size_t chunk_bytes);

  std::size_t chunk_bytes_ = limits::kChunkBytesMin;
  std::deque<Chunk> under_way_;
  std::optional<Millis> quickest_;
  std::size_t taken_of_this_size_ = 0;
  Millis longest_queue_{0};  // that these have met
};

}  // namespace entente
