// The site's policy: what the institution lets others do with its data.
//
//  - Default deny. A list that is missing or empty allows nothing; "*" allows everything.
//  - The decision is the site's alone and is made here, at the site, on every job offer and again
//    on every task; a broker that asks for more gets a refusal, never data.
//  - A refusal names the clause that said no, so that a coordinator knows what to ask for and the
//    site's people know which line of agent.toml spoke.
//
// Pure; may be called from any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/refusal.h"

namespace entente::agent {

// The [policy] table of agent.toml.
struct Policy {
  std::vector<std::string> coordinators;  // who may ask
  std::vector<std::string> datasets;      // what may be computed on
  std::vector<std::string> kinds;         // kinds of jobs; so far "train"
};

// What the policy needs to know about a job.
struct OfferFacts {
  std::string coordinator;
  std::vector<std::string> datasets;  // every dataset of this site that the job would read
  std::string kind = "train";
};

// Nothing when the policy allows the job; otherwise a refusal with code "policy_declined" whose
// message names the first clause that does not allow it.
[[nodiscard]] std::optional<Refusal> decide(const Policy& policy, const OfferFacts& facts);

// The refusal of a job whose dataset this site does not have (code "dataset_unknown"), with the
// nearest name among those it has as a hint.
[[nodiscard]] Refusal dataset_unknown(std::string_view wanted,
                                      const std::vector<std::string>& available);

// `coordinators: alice; datasets: *; kinds: nothing`, for the site's own log.
[[nodiscard]] std::string summary(const Policy& policy);

// `coordinators (1), datasets (any), kinds (none)`: which clauses there are and how wide they are,
// for the consortium. Names nobody.
[[nodiscard]] std::string clauses(const Policy& policy);

}  // namespace entente::agent
