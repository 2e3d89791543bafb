// What a seed means: the consortium, its jobs and how rough the world is.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "common/base/ids.h"
#include "common/base/time.h"
#include "common/domain/job_spec.h"

namespace entente::simulation {

struct SitePlan {
  SiteId id;
  std::uint32_t slots = 1;
  bool declines = false;   // its policy allows nobody
  bool evaluates = false;  // has the evaluation dataset
  Millis training_max{30'000};
  // Per mille of its tasks.
  std::uint32_t fails = 0;    // a trainer's passing failure, on the first attempt
  std::uint32_t dies = 0;     // a trainer that is killed, on any attempt
  std::uint32_t hangs = 0;    // without a word, until somebody ends it
  std::uint32_t poisons = 0;  // an update that the broker's guards must refuse
};

struct JobPlan {
  JobSpec spec;
  Millis submitted_after{};
  std::optional<Millis> aborted_after;
  // Of the job, by its coordinator.
  struct Rest {
    Millis from{};
    Millis until{};
  };
  std::vector<Rest> rests;
};

struct Plan {
  std::uint64_t seed = 0;
  std::vector<SitePlan> sites;
  std::vector<JobPlan> jobs;
  // No lasting fault: every cut ends within the stall window, no trainer hangs, no update is
  // poisoned, no site drains. The final models are then those of an undisturbed run, also when the
  // broker has slept or an accepted update was damaged.
  bool gentle = false;
  Millis faults_end{};            // nothing goes wrong after this
  Millis latency_max{200};        // of a message, one way
  Millis commit_max{5};           // of a transaction
  std::uint32_t commit_slow = 0;  // per mille of transactions that take up to 2 s
};

// A job of every site that is willing; scripted tests start from it.
[[nodiscard]] JobSpec small_spec(const std::string& name, std::uint32_t rounds);

[[nodiscard]] Plan plan_of(std::uint64_t seed);

// The sites that will take part when nothing lasting goes wrong.
[[nodiscard]] std::vector<SiteId> willing_sites(const Plan& plan);

}  // namespace entente::simulation
