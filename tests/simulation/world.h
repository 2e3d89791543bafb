// What everything in the simulation shares: the clock, chance and the trace.
#pragma once

#include <fmt/format.h>

#include <deque>
#include <stdexcept>
#include <string>
#include <utility>

#include "tests/simulation/random.h"
#include "tests/simulation/timeline.h"

namespace entente::simulation {

// A broken promise: ends the run.
struct Violation : std::runtime_error {
  using std::runtime_error::runtime_error;
};

template <class... Args>
[[noreturn]] void broken(fmt::format_string<Args...> text, Args&&... args) {
  throw Violation(fmt::format(text, std::forward<Args>(args)...));
}

// The last lines of what happened. Off by default: text costs more than the cores do.
class Trace {
 public:
  bool is_on = false;
  void add(std::string line) {
    lines_.push_back(std::move(line));
    if (lines_.size() > kLinesMax) {
      lines_.pop_front();
    }
  }
  [[nodiscard]] const std::deque<std::string>& lines() const { return lines_; }

 private:
  static constexpr std::size_t kLinesMax = 20'000;
  std::deque<std::string> lines_;
};

struct World {
  explicit World(std::uint64_t seed) : random(seed) {}

  Timeline timeline;
  Random random;
  Trace trace;
  std::int64_t wall_clock_offset_ms = 0;

  [[nodiscard]] Now now() const {
    const auto elapsed = timeline.now().time_since_epoch().count();
    return {timeline.now(), 1'700'000'000'000 + elapsed + wall_clock_offset_ms};
  }

  template <class... Args>
  void say(std::string_view who, fmt::format_string<Args...> text, Args&&... args) {
    if (trace.is_on) {
      const auto ms = timeline.now().time_since_epoch().count() - 1'000'000;
      trace.add(fmt::format("{:>9}.{:03} {:<8} {}", ms / 1000, ms % 1000, who,
                            fmt::format(text, std::forward<Args>(args)...)));
    }
  }
};

}  // namespace entente::simulation
