// Which large blobs this process has just hashed, and need not be hashed again.
//
//  - For a minute their bytes are those of the page cache that were hashed: a second look would
//    read the same memory. Later they may come from the disk again, where bits flip.
//  - Small blobs are never remembered: hashing them costs nothing.
//
// Any thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <mutex>

#include "common/base/blob_id.h"

namespace entente {

class FreshBlobs {
 public:
  using Clock = std::chrono::steady_clock;

  // `id` was just found to be the digest of `bytes` bytes.
  void note(const BlobId& id, std::uint64_t bytes, Clock::time_point now) {
    if (bytes < kLarge) {
      return;
    }
    const std::lock_guard lock(mutex_);
    std::erase_if(hashed_, [now](const auto& one) { return now - one.second >= kFreshFor; });
    hashed_.insert_or_assign(id, now);
  }

  [[nodiscard]] bool contains(const BlobId& id, Clock::time_point now) const {
    const std::lock_guard lock(mutex_);
    const auto found = hashed_.find(id);
    return found != hashed_.end() && now - found->second < kFreshFor;
  }

  // Its bytes are gone, or not to be trusted any more.
  void forget(const BlobId& id) {
    const std::lock_guard lock(mutex_);
    hashed_.erase(id);
  }

 private:
  static constexpr std::uint64_t kLarge = 256 << 10;
  static constexpr std::chrono::minutes kFreshFor{1};

  mutable std::mutex mutex_;
  std::map<BlobId, Clock::time_point> hashed_;
};

}  // namespace entente
