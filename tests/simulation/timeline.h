// What will happen, in the order in which it will: the simulated clock stands still while something
// happens and then jumps to the next. Happenings of the same moment keep the order in which they
// were planned.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "common/base/time.h"

namespace entente::simulation {

class Timeline {
 public:
  using Happening = std::function<void()>;

  [[nodiscard]] Monotonic now() const { return now_; }

  void at(Monotonic when, Happening what) {
    waiting_.push_back({std::max(when, now_), planned_++, std::move(what)});
    std::push_heap(waiting_.begin(), waiting_.end(), is_later);
  }
  void after(Millis pause, Happening what) { at(now_ + pause, std::move(what)); }

  // Lets the next thing happen; false when nothing is left to come.
  bool step() {
    if (waiting_.empty()) {
      return false;
    }
    std::pop_heap(waiting_.begin(), waiting_.end(), is_later);
    const Entry next = std::move(waiting_.back());
    waiting_.pop_back();
    now_ = next.when;
    next.what();
    return true;
  }

 private:
  struct Entry {
    Monotonic when;
    std::uint64_t number = 0;
    Happening what;
  };
  static bool is_later(const Entry& a, const Entry& b) {
    return std::pair(a.when, a.number) > std::pair(b.when, b.number);
  }

  Monotonic now_{Millis(1'000'000)};
  std::uint64_t planned_ = 0;
  std::vector<Entry> waiting_;
};

}  // namespace entente::simulation
