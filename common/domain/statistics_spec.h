// What a job of kind "statistics" asks of its sites, and how a training job takes its inputs from
// the result.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/ids.h"
#include "common/base/refusal.h"
#include "common/domain/statistics.h"

namespace entente {

// Its dataset is TrainSpec::dataset, as of every kind of job.
struct StatisticsSpec {
  std::vector<std::string> columns{};  // empty: all that a site's dataset is made from
  std::uint32_t bins = 32;             // of the histogram of each number
  std::vector<double> quantiles{0.25, 0.5, 0.75};

  bool operator==(const StatisticsSpec&) const = default;
};

// One column of the inputs, which becomes (x - mean) / deviation.
struct Scale {
  std::string column;
  double mean = 0;
  double deviation = 1;

  bool operator==(const Scale&) const = default;
};

// By which numbers the inputs of a training job are normalised, the same at every site. The
// numbers are part of the spec, so that its digest covers what is applied and no site needs
// anything else; the job that they come from is named for people. Until they are looked up, when
// the job is submitted, there is only its name.
struct Normalisation {
  std::optional<JobId> from{};
  std::vector<Scale> columns{};

  [[nodiscard]] bool is_resolved() const { return !columns.empty(); }
  bool operator==(const Normalisation&) const = default;
};

// The job of "stats:JOB"; nothing for any other text.
[[nodiscard]] std::optional<JobId> parse_statistics_job(std::string_view text);
[[nodiscard]] std::string statistics_job_text(const JobId& job);  // "stats:JOB"

// Every number that models take as an input; one that never varies is only centred.
[[nodiscard]] std::vector<Scale> scales_of(const Statistics& statistics);

// Refuse with "job_invalid".
[[nodiscard]] Expected<void> check_statistics_spec(const StatisticsSpec& spec);
[[nodiscard]] Expected<void> check_normalisation(const Normalisation& normalisation);

}  // namespace entente
