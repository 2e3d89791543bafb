// Turns a stream of finished batches into a few progress reports: the first at once, then at most
// five in a second, so that small batches do not flood the agent.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>

#include "site-agent/contract/contract.h"

namespace entente::agent {

using ReportProgress = std::function<void(const contract::Progress&)>;

class ProgressMeter {
 public:
  // `total` examples will be worked on. Reports that nothing is done yet.
  ProgressMeter(ReportProgress report, std::uint64_t total);
  void add(std::uint64_t examples);

 private:
  using Clock = std::chrono::steady_clock;

  void report_now(Clock::time_point now);

  ReportProgress report_;
  std::uint64_t total_;
  std::uint64_t done_ = 0;
  Clock::time_point reported_at_;
};

}  // namespace entente::agent
