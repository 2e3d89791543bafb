// Seeds: every random choice at a site follows from the job's spec, the round and the site, never
// from an id, an attempt or a clock, so that the same inputs give the same bits.
#pragma once

#include <cstdint>
#include <string_view>

#include "common/base/blob_id.h"
#include "common/base/ids.h"
#include "common/domain/job_spec.h"

namespace entente {

// The job's seed: spec.seed, or the first eight bytes of the spec's digest.
[[nodiscard]] std::uint64_t job_seed(const JobSpec& spec, const Digest& spec_digest);

// Mixes the job's seed, the round and the site's name with FNV-1a over their bytes and the
// SplitMix64 finaliser. Not a secret; only has to be well spread and stable.
[[nodiscard]] std::uint64_t task_seed(std::uint64_t job_seed, Round round, std::string_view site);

// Of a site that trains once more in a round which has taken so many of its updates already
// (asynchronous jobs); the first time it is the task's seed itself.
[[nodiscard]] std::uint64_t repeated_seed(std::uint64_t task_seed, std::uint32_t taken_before);

// What decides about the site's turn in the draw of a round's sites (broker/core/draw.h): another
// number than its training draws from.
[[nodiscard]] std::uint64_t draw_number(std::uint64_t job_seed, Round round, std::string_view site);

// What a part of a task's training draws from that has a course of its own: "private", "personal".
[[nodiscard]] std::uint64_t course_seed(std::uint64_t task_seed, std::string_view course);

// What the rounding of a task's update draws from: other numbers than its training.
[[nodiscard]] std::uint64_t rounding_seed(std::uint64_t task_seed);

}  // namespace entente
