#include "site-agent/training/progress_meter.h"

#include <utility>

namespace entente::agent {
namespace {

constexpr std::chrono::milliseconds kReportEvery{200};

}  // namespace

ProgressMeter::ProgressMeter(ReportProgress report, std::uint64_t total)
    : report_(std::move(report)), total_(total) {
  report_now(Clock::now());
}

void ProgressMeter::add(std::uint64_t examples) {
  done_ += examples;
  const auto now = Clock::now();
  if (now - reported_at_ >= kReportEvery) {
    report_now(now);
  }
}

void ProgressMeter::report_now(Clock::time_point now) {
  reported_at_ = now;
  report_({done_, total_, "examples"});
}

}  // namespace entente::agent
