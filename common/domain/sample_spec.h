// How a job draws the sites of one round from all that take part in it. A job without a sample
// trains at every one of them in each round.
//
//  - A round takes so many updates: a count, or a fraction of the job's places, at least one. This
//    is McMahan et al., "Communication-efficient learning of deep networks from decentralized
//    data", AISTATS 2017, algorithm 1: m = max(C * K, 1).
//  - More sites may be asked than updates are taken, so that a round need not wait for its slowest
//    (Bonawitz et al., "Towards federated learning at scale", MLSys 2019, section 2.2).
//  - A site whose update was taken rests for some rounds. That is strict: a round rather takes
//    fewer.
//
// How the draw itself is made: broker/core/draw.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "common/base/refusal.h"

namespace entente {

// What the chance of a site is in proportion to.
enum class SampleBy : std::uint8_t {
  uniform,     // all the same
  samples,     // its examples of the training dataset
  preference,  // the job's sites.prefer
};

[[nodiscard]] std::string_view to_string(SampleBy by);

struct SampleSpec {
  SampleBy by = SampleBy::uniform;
  std::uint32_t count = 0;       // updates that a round takes; 0: as `fraction` says
  double fraction = 0;           // of the job's places, above 0 and at most 1; 0: as `count` says
  double over = 1;               // so many times as many sites are asked
  std::uint32_t separation = 0;  // rounds that a site rests after one that has taken its update

  bool operator==(const SampleSpec&) const = default;
};

// Updates that a round takes of a job with so many places; 1 at least.
[[nodiscard]] std::uint32_t updates_wanted(const SampleSpec& sample, std::size_t places);

// Sites that are asked for them.
[[nodiscard]] std::uint32_t sites_asked(const SampleSpec& sample, std::size_t places);

// Refuses with "job_invalid" what no job that starts with `min` sites could keep to.
[[nodiscard]] Expected<void> check_sample(const SampleSpec& sample, std::uint32_t min);

}  // namespace entente
