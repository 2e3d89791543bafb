#include "site-agent/service/worker_pool.h"

#include <utility>

namespace entente::agent {

WorkerPool::WorkerPool(std::size_t threads) {
  for (std::size_t i = 0; i < threads; ++i) {
    threads_.emplace_back([this] { run(); });
  }
}

WorkerPool::~WorkerPool() {
  (void)stop(Millis(0));
  for (std::thread& thread : threads_) {
    thread.join();
  }
}

void WorkerPool::post(std::function<void()> work) {
  std::lock_guard lock(mutex_);
  if (!stopping_) {
    queue_.push_back(std::move(work));
    changed_.notify_all();
  }
}

bool WorkerPool::finish(Millis limit) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, limit, [this] { return queue_.empty() && busy_ == 0; });
}

bool WorkerPool::stop(Millis limit) {
  std::unique_lock lock(mutex_);
  stopping_ = true;
  queue_.clear();
  changed_.notify_all();
  return changed_.wait_for(lock, limit, [this] { return busy_ == 0; });
}

void WorkerPool::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
    if (stopping_) {
      return;
    }
    std::function<void()> work = std::move(queue_.front());
    queue_.pop_front();
    ++busy_;
    lock.unlock();
    work();
    work = nullptr;  // what it held must be gone before the pool counts as idle
    lock.lock();
    --busy_;
    changed_.notify_all();
  }
}

}  // namespace entente::agent
