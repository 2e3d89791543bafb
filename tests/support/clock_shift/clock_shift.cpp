// Preloaded (LD_PRELOAD) into a process under test: sets its wall clock off by what the plan says
// (clock_shift_plan.h), from one call to the next. OpenSSL asks for the time here as well.
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <cstdlib>

#include "tests/support/clock_shift/clock_shift_plan.h"

namespace {

using entente::integration::ClockShiftPlan;

ClockShiftPlan* map_plan() {
  const char* file = std::getenv(entente::integration::kClockShiftPlan);
  const int fd = file == nullptr ? -1 : ::open(file, O_RDWR | O_CLOEXEC);
  if (fd < 0) {
    return nullptr;
  }
  void* memory = ::mmap(nullptr, sizeof(ClockShiftPlan), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  ::close(fd);
  return memory == MAP_FAILED ? nullptr : static_cast<ClockShiftPlan*>(memory);
}

time_t shift() {
  static ClockShiftPlan* const plan = map_plan();
  return plan == nullptr ? 0 : static_cast<time_t>(plan->seconds.load());
}

int real_clock(clockid_t clock, struct timespec* time) {
  static const auto next =
      reinterpret_cast<decltype(&::clock_gettime)>(::dlsym(RTLD_NEXT, "clock_gettime"));
  return next(clock, time);
}

}  // namespace

extern "C" {

int clock_gettime(clockid_t clock, struct timespec* time) noexcept {
  const int result = real_clock(clock, time);
  if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
    time->tv_sec += shift();
  }
  return result;
}

int gettimeofday(struct timeval* time, void*) noexcept {
  struct timespec now {};
  if (clock_gettime(CLOCK_REALTIME, &now) != 0) {
    return -1;
  }
  *time = {now.tv_sec, now.tv_nsec / 1000};
  return 0;
}

time_t time(time_t* to) noexcept {
  struct timespec now {};
  (void)clock_gettime(CLOCK_REALTIME, &now);
  if (to != nullptr) {
    *to = now.tv_sec;
  }
  return now.tv_sec;
}

}  // extern "C"
