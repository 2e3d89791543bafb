// Sets the wall clock of a process off, also while it runs: preloads a library (clock_shift/) into
// it. One object may serve several processes and all their starts; they then agree on the time.
#pragma once

#include <chrono>
#include <filesystem>
#include <map>
#include <string>

#include "tests/support/clock_shift/clock_shift_plan.h"

namespace entente::integration {

class ClockShift {
 public:
  // `plan_file` is made.
  explicit ClockShift(const std::filesystem::path& plan_file);
  ~ClockShift();
  ClockShift(const ClockShift&) = delete;
  ClockShift& operator=(const ClockShift&) = delete;

  // What a process has to be started with.
  [[nodiscard]] std::map<std::string, std::string> environment() const;

  // From the true time; zero puts the clock right again.
  void jump_to(std::chrono::seconds offset) { plan_->seconds = offset.count(); }

 private:
  std::filesystem::path plan_file_;
  ClockShiftPlan* plan_;
};

}  // namespace entente::integration
