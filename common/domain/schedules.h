// Learning rates over the rounds of a job: what a job may write under [train.schedule].
//
// A schedule is a factor of train.optimizer.lr that depends on the round alone, so that every site
// works with the same rate and a round that is repeated has the rate that it had.
//
//   constant      1
//   step          gamma ^ floor(r / every)                     every: rounds
//   exponential   gamma ^ r
//   cosine        end + (1 - end) * (1 + cos(pi * r / rounds)) / 2, then end
//                                          (Loshchilov and Hutter 2017, arXiv:1608.03983)
//
// r counts rounds from 0 after the warm-up: each kind may begin with `warmup` rounds in which the
// factor rises in equal steps to what follows: 1/(warmup + 1), 2/(warmup + 1), ... It is never
// below 1e-9.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/refusal.h"
#include "common/domain/attributes.h"

namespace entente {

struct ScheduleSpec {
  std::string kind = "constant";
  Attributes options{};  // those of its kind that are not left to their defaults
  bool operator==(const ScheduleSpec&) const = default;
};

[[nodiscard]] std::vector<std::string> schedule_names();
// The options of a kind by name; empty for an unknown kind.
[[nodiscard]] std::vector<std::string> schedule_options(std::string_view kind);

// Refuses with "job_invalid", naming the key at fault by its path in a job file.
[[nodiscard]] Expected<void> check_schedule(const ScheduleSpec& spec);

// Of a spec that has passed check_schedule(); rounds count from 1.
[[nodiscard]] double schedule_factor(const ScheduleSpec& spec, std::uint32_t round);

}  // namespace entente
