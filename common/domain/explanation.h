// Why a job is where it is, site by site: what `entente job explain` shows, and `entente job submit
// --dry-run` before there is a job. The broker makes it from the rules and the plan that it goes by
// itself, so it is true when it is made; it promises nothing.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/ids.h"
#include "common/domain/job_state.h"

namespace entente {

// What a site is to a job.
enum class SiteStanding : std::uint8_t {
  taking_part,  // has accepted and holds a slot for it
  asked,        // has not answered yet
  free,         // fits and has a free slot
  busy,         // fits, and others hold all its slots
  away,         // fits and is not connected, or draining
  declined,     // by its own policy, or its data does not fit
  excluded,     // fails a rule
};

[[nodiscard]] std::string_view to_string(SiteStanding standing);

struct SiteExplanation {
  SiteId site;
  SiteStanding standing = SiteStanding::free;
  // A sentence for each rule that it fails, or one that says more about its standing: the site's
  // words, who holds its slots. None where the standing says it all.
  std::vector<std::string> sentences;

  bool operator==(const SiteExplanation&) const = default;
};

struct Explanation {
  std::optional<JobId> job;  // none: it was not submitted
  JobState state = JobState::queued;
  std::string sentence;                // the whole of it
  std::uint32_t place = 0;             // in the queue, from 1; 0: it does not wait
  std::vector<JobId> ahead;            // in the queue, the first one first
  std::vector<SiteId> reserved;        // whose free slots are kept for it
  std::vector<std::string> changes;    // any of which must happen before it starts, a sentence each
  std::vector<SiteExplanation> sites;  // by standing, then by id
  std::uint32_t sites_left_out = 0;    // that one message had no room for

  bool operator==(const Explanation&) const = default;
};

}  // namespace entente
