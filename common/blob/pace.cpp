#include "common/blob/pace.h"

#include <algorithm>

namespace entente {

void Pace::sent(Monotonic now) { under_way_.push_back({now, true}); }

void Pace::taken(std::uint64_t chunks, Monotonic now) {
  for (; chunks > 0 && !under_way_.empty(); --chunks) {
    const Chunk chunk = under_way_.front();
    under_way_.pop_front();
    const Millis took = now - chunk.sent_at;
    quickest_ = std::min(quickest_.value_or(took), took);
    if (chunk.of_this_size) {
      met(took - *quickest_);
    }
  }
}

void Pace::met(Millis queue) {
  ++taken_of_this_size_;
  longest_queue_ = std::max(longest_queue_, queue);
  if (queue > kQueueLong) {
    change_to(std::max(chunk_bytes_ / 2, limits::kChunkBytesMin));
  } else if (taken_of_this_size_ == limits::kCreditChunks) {
    change_to(longest_queue_ < kQueueShort ? std::min(2 * chunk_bytes_, limits::kChunkBytesMax)
                                           : chunk_bytes_);
  }
}

// Counts anew, from the chunks that are sent from now on.
void Pace::change_to(std::size_t chunk_bytes) {
  chunk_bytes_ = chunk_bytes;
  taken_of_this_size_ = 0;
  longest_queue_ = Millis(0);
  for (Chunk& chunk : under_way_) {
    chunk.of_this_size = false;
  }
}

}  // namespace entente
