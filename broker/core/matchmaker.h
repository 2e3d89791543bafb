// Decides which sites a job may ask, and says why not for every other one.
//
//  - A rule is a predicate together with the sentence that explains its refusal, so that what
//    people read can never drift from what was decided.
//  - An expression of the job (sites.require) is such a rule; its sentence shows the expression and
//    the values that it has looked at. sites.prefer ranks who fits, higher first, ties by id.
//  - Rules look at what a site has told about itself; whether the site wants the job is the site's
//    own decision, made at the site.
//  - Being connected is no rule: a site that is away is still a candidate, and is asked on return.
//
// Pure. Complexity: sites x rules per call.
#pragma once

#include <string>
#include <vector>

#include "broker/core/state.h"
#include "common/domain/job_spec.h"

namespace entente::broker {

struct Exclusion {
  SiteId site;
  std::string sentence;  // of the first rule the site fails
};

struct Match {
  std::vector<SiteId> eligible;  // mandatory sites first, then by preference, then by id
  std::vector<Exclusion> excluded;
};

[[nodiscard]] Match match(const JobSpec& spec, const State& state);

// The sentence of every rule that the site fails; of those that only make sense once it has the
// dataset, none before. Empty when it meets all of them.
[[nodiscard]] std::vector<std::string> objections(const JobSpec& spec, const Site& site,
                                                  const Evaluator& evaluator);

// By an expression of the job, higher ranks first; equal ones stay in their order.
void sort_by_preference(std::vector<SiteId>& sites, const std::string& prefer, const State& state);

// Whether the site meets every rule.
[[nodiscard]] bool fits(const JobSpec& spec, const Site& site, const Evaluator& evaluator);

// What a coordinator must change before the job can be admitted: names that nobody knows, an
// expression that cannot be used, a dataset that fits nowhere. Nothing when the job may wait for
// sites.
[[nodiscard]] std::optional<Refusal> find_impossibility(const JobSpec& spec, const State& state);

// "excluded  south: has no dataset ..." one line each.
[[nodiscard]] std::string describe(const std::vector<Exclusion>& exclusions);

}  // namespace entente::broker
