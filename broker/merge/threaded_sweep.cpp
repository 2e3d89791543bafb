#include "broker/merge/threaded_sweep.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>

#include "common/base/check.h"

namespace entente::broker {
namespace {

// Lets the sums of range `i` in only after those of range i - 1, so that they are added up in order
// and at most one set for each thread is waiting.
class InOrder {
 public:
  explicit InOrder(std::vector<double>& totals) : totals_(totals) {}

  void add(std::size_t range, std::span<const double> sums) {
    std::unique_lock lock(mutex_);
    turn_.wait(lock, [&] { return next_ == range || abandoned_; });
    for (std::size_t i = 0; i < sums.size(); ++i) {
      totals_[i] += sums[i];
    }
    ++next_;
    turn_.notify_all();
  }

  // A range before it has failed: nobody needs to wait any more.
  void abandon() {
    const std::scoped_lock lock(mutex_);
    abandoned_ = true;
    turn_.notify_all();
  }

 private:
  std::vector<double>& totals_;
  std::mutex mutex_;
  std::condition_variable turn_;
  std::size_t next_ = 0;
  bool abandoned_ = false;
};

}  // namespace

ThreadedSweep::ThreadedSweep(std::size_t threads) : threads_(threads) {
  ENTENTE_CHECK(threads > 0);
}

void ThreadedSweep::each(std::size_t size, const std::function<void(Range)>& work) {
  std::atomic<std::size_t> next = 0;
  std::mutex mutex;
  std::exception_ptr failure;
  const auto take_ranges = [&] {
    try {
      for (std::size_t start = next.fetch_add(kRangeValues); start < size;
           start = next.fetch_add(kRangeValues)) {
        work({start, std::min(kRangeValues, size - start)});
      }
    } catch (...) {
      const std::scoped_lock lock(mutex);
      failure = std::current_exception();
      next = size;
    }
  };
  {
    const std::size_t ranges = (size + kRangeValues - 1) / kRangeValues;
    std::vector<std::jthread> others;
    for (std::size_t i = 1; i < std::min(threads_, ranges); ++i) {
      others.emplace_back(take_ranges);
    }
    take_ranges();
  }
  if (failure) {
    std::rethrow_exception(failure);
  }
}

std::vector<double> ThreadedSweep::sum(std::size_t size, std::size_t terms,
                                       const std::function<void(Range, std::span<double>)>& work) {
  std::vector<double> totals(terms, 0.0);
  InOrder in_order(totals);
  each(size, [&](Range range) {
    try {
      std::vector<double> sums(terms, 0.0);
      work(range, sums);
      in_order.add(range.start / kRangeValues, sums);
    } catch (...) {
      in_order.abandon();
      throw;
    }
  });
  return totals;
}

}  // namespace entente::broker
