// Jobs of the kind "cross_evaluate": every site trains a model of its own from the same initial
// one, and each of these models is judged on every site's examples. What comes of it is a matrix, a
// row for each site's model and a column for each site's data.
//
//  - Sites are shown each other's models one by one, never a merge of several: what a policy asks
//    about the size of a cohort is answered by 1, however many take part.
//  - A model is sent whole: nothing of it can stay at its site, or wait for a later round.
//  - The matrix is one answer of the broker, so that its size is bounded.
#pragma once

#include <cstddef>
#include <cstdint>

#include "common/base/refusal.h"
#include "common/domain/job_spec.h"

namespace entente {

// A cell takes up to 700 bytes of a control message, mostly 300: 1024 of them leave room for the
// rest of the job.
constexpr std::uint32_t kCrossSitesMax = 32;
constexpr std::size_t kCellMetricsMax = 6;  // one more than the built-in trainer has for a loss
constexpr std::size_t kCellMetricNameBytesMax = 63;  // longer ones are of no cell

// Whether a job of the kind shows others a single site's model, whoever else takes part.
[[nodiscard]] constexpr bool shows_single_sites(JobKind kind) {
  return kind == JobKind::cyclic || kind == JobKind::cross_evaluate;
}

// What only such jobs must fulfil; nothing to say about others. A part of validate().
[[nodiscard]] Expected<void> check_cross_evaluation(const JobSpec& spec);

}  // namespace entente
