// When a job ends before its last round, and which of its models it keeps.
//
//  - It stops early after `patience` evaluations in a row none of which was better than the best
//    one before them by more than `min_delta`. An evaluation without the metric counts for nothing.
//  - What is better follows from the metric: of an error (a loss) less, of anything else more.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/refusal.h"
#include "common/domain/task.h"

namespace entente {

struct StopSpec {
  std::string metric;          // of the evaluations
  std::uint32_t patience = 3;  // evaluations without an improvement
  double min_delta = 0;        // an improvement is more than this

  bool operator==(const StopSpec&) const = default;
};

// Which versions of a job's model stay.
enum class Keep : std::uint8_t {
  all,
  best_and_last,  // the best one evaluated so far, and the newest
};

[[nodiscard]] std::string_view to_string(Keep keep);

// Whether less of the metric is better.
[[nodiscard]] bool is_error(std::string_view metric);

// How good these metrics are, the more the better: by the metric of `stop` when there is one,
// otherwise by accuracy, or by loss. Nothing when they lack it.
[[nodiscard]] std::optional<double> score(const std::optional<StopSpec>& stop,
                                          const Metrics& metrics);

// Refuses with "job_invalid".
[[nodiscard]] Expected<void> check_stop(const StopSpec& stop);

}  // namespace entente
