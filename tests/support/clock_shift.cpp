#include "tests/support/clock_shift.h"

#include <sys/mman.h>

#include "tests/support/plan_file.h"

namespace entente::integration {

ClockShift::ClockShift(const std::filesystem::path& plan_file)
    : plan_file_(plan_file),
      plan_(static_cast<ClockShiftPlan*>(make_plan_file(plan_file, sizeof(ClockShiftPlan)))) {}

ClockShift::~ClockShift() { ::munmap(plan_, sizeof(ClockShiftPlan)); }

std::map<std::string, std::string> ClockShift::environment() const {
  return {{"LD_PRELOAD", preloaded_library("entente_clock_shift.so").string()},
          {kClockShiftPlan, plan_file_.string()},
          // AddressSanitizer wants to come first; it does not need to here.
          {"ASAN_OPTIONS", "verify_asan_link_order=0"}};
}

}  // namespace entente::integration
