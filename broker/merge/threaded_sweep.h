// Passes over updates on several threads (strategies/sweep.h): the next free thread takes the next
// range, front to back, and the sums of a range wait for those of the range before it.
//
// Its threads live as long as one pass. Used by one thread at a time.
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <vector>

#include "broker/merge/strategies/sweep.h"

namespace entente::broker {

class ThreadedSweep final : public Sweep {
 public:
  explicit ThreadedSweep(std::size_t threads);  // at least 1
  void each(std::size_t size, const std::function<void(Range)>& work) override;
  [[nodiscard]] std::vector<double> sum(
      std::size_t size, std::size_t terms,
      const std::function<void(Range, std::span<double>)>& work) override;

 private:
  std::size_t threads_;
};

}  // namespace entente::broker
