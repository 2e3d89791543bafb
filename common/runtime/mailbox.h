// The one kind of queue between threads: bounded, many producers, one consumer, with a descriptor
// that a poll loop can wait on beside its sockets.
//
// Messages are moved in and out; nothing is shared after a push. `fd()` is readable while messages
// wait. After `close`, pushes fail and what is queued can still be drained.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <iterator>
#include <mutex>
#include <utility>
#include <vector>

#include "common/runtime/event_fd.h"

namespace entente {

template <class T>
class Mailbox {
 public:
  explicit Mailbox(std::size_t capacity) : capacity_(capacity) {}

  // Any thread. False when the mailbox is full or closed; the message is then unchanged.
  [[nodiscard]] bool try_push(T&& message) {
    std::lock_guard lock(mutex_);
    if (closed_ || queue_.size() >= capacity_) {
      return false;
    }
    enqueue(std::move(message));
    return true;
  }

  // Any thread but the consumer: waits while the mailbox is full. False when it is closed.
  bool push(T message) {
    std::unique_lock lock(mutex_);
    has_room_.wait(lock, [this] { return closed_ || queue_.size() < capacity_; });
    if (closed_) {
      return false;
    }
    enqueue(std::move(message));
    return true;
  }

  // Consumer only, never waits: everything queued, in order.
  [[nodiscard]] std::vector<T> drain() {
    std::lock_guard lock(mutex_);
    std::vector<T> messages(std::make_move_iterator(queue_.begin()),
                            std::make_move_iterator(queue_.end()));
    queue_.clear();
    if (!closed_) {
      ready_.clear();
    }
    has_room_.notify_all();
    return messages;
  }

  // Consumer only: waits for messages; empty once the mailbox is closed and drained.
  [[nodiscard]] std::vector<T> wait_and_drain() {
    {
      std::unique_lock lock(mutex_);
      has_message_.wait(lock, [this] { return closed_ || !queue_.empty(); });
    }
    return drain();
  }

  void close() {
    std::lock_guard lock(mutex_);
    closed_ = true;
    ready_.signal();
    has_room_.notify_all();
    has_message_.notify_all();
  }

  // Readable while messages wait or the mailbox is closed. For poll only.
  [[nodiscard]] int fd() const { return ready_.fd(); }

 private:
  void enqueue(T&& message) {
    queue_.push_back(std::move(message));
    ready_.signal();
    has_message_.notify_one();
  }

  const std::size_t capacity_;
  std::mutex mutex_;
  std::condition_variable has_room_;
  std::condition_variable has_message_;
  std::deque<T> queue_;
  EventFd ready_;
  bool closed_ = false;
};

}  // namespace entente
