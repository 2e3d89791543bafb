// Jobs back to back: as soon as one has ended the next is submitted, so that two run at a time.
// One in eight is aborted on its way. Asks the broker with `entente` and only while it is well.
//
// Throws std::runtime_error when a job is late, fails, is forgotten, or nothing moves for too long.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <random>
#include <string>

#include "common/domain/job_spec.h"
#include "tests/soak/scene.h"

namespace entente::soak {

// What is left of four sites without the one that sends NaN and one whose trainers are killed.
inline constexpr std::size_t kQuorum = 2;

struct SoakedJob {
  JobSpec spec;
  std::chrono::steady_clock::time_point submitted;
  int abort_at_round = 0;  // 0: never
  bool abort_asked = false;
  std::string state = "queued";
  int round = 0;

  [[nodiscard]] bool is_open() const {
    return state != "completed" && state != "aborted" && state != "failed";
  }
};

class Workload {
 public:
  using Clock = std::chrono::steady_clock;

  Workload(Scene& scene, std::uint64_t seed) : scene_(scene), random_(seed) {}

  // Follows the open jobs and submits more while `more`.
  void act(Clock::time_point now, bool more);
  [[nodiscard]] bool is_idle() const;
  [[nodiscard]] const std::map<std::string, SoakedJob>& jobs() const { return jobs_; }
  [[nodiscard]] int count(const std::string& state) const;

 private:
  void submit(Clock::time_point now);
  void follow(Clock::time_point now);
  void abort_the_unwanted();

  Scene& scene_;
  std::mt19937_64 random_;
  std::map<std::string, SoakedJob> jobs_;
  Clock::time_point moved_ = Clock::now();
};

}  // namespace entente::soak
