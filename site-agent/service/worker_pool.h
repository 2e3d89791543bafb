// A few threads for work that blocks: dialing, transfers, disk. Work is carried out in order of
// arrival; results go back through the agent's inbox.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "common/base/time.h"

namespace entente::agent {

class WorkerPool {
 public:
  explicit WorkerPool(std::size_t threads);
  ~WorkerPool();  // forgets work that has not begun, waits for what has
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  // Any thread. `work` must not throw. Ignored after `stop`.
  void post(std::function<void()> work);

  // True when all posted work is done within `limit`.
  [[nodiscard]] bool finish(Millis limit);

  // Forgets work that has not begun. True when all that has begun is done within `limit`.
  [[nodiscard]] bool stop(Millis limit);

 private:
  void run();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> queue_;
  std::size_t busy_ = 0;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace entente::agent
