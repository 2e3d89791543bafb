// Looks at a process's anonymous memory again and again, and remembers the largest.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>

#include "tests/support/process_probe.h"

namespace entente::bench {

class MemoryWatch {
 public:
  explicit MemoryWatch(pid_t pid) : thread_([this, pid] { look(pid); }) {}
  ~MemoryWatch() {
    {
      const std::lock_guard lock(mutex_);
      over_ = true;
    }
    changed_.notify_one();
    thread_.join();
  }
  MemoryWatch(const MemoryWatch&) = delete;
  MemoryWatch& operator=(const MemoryWatch&) = delete;

  [[nodiscard]] std::uint64_t largest() const { return largest_; }

 private:
  void look(pid_t pid) {
    constexpr std::chrono::milliseconds kEvery{20};
    std::unique_lock lock(mutex_);
    do {
      largest_ = std::max<std::uint64_t>(largest_, integration::anonymous_bytes(pid));
    } while (!changed_.wait_for(lock, kEvery, [this] { return over_; }));
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  bool over_ = false;
  std::atomic<std::uint64_t> largest_ = 0;
  std::thread thread_;  // last: starts when everything above is there
};

}  // namespace entente::bench
