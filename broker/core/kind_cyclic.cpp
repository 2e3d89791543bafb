// Cyclic jobs: the model travels from site to site. Each round trains at one site, from the model
// that the round before has left, and its model is that site's.
//
//  - The order is that of the sites' names, round and round: after the site whose update was taken
//    last comes the next one by name that holds a place. So it follows from the rows.
//  - A site that fails or stalls is passed over for the next; its turn comes again in the next lap.
//
// After Chang et al., "Distributed deep learning networks among institutions for medical imaging"
// (2018), cyclical weight transfer.
#include <fmt/format.h>

#include <algorithm>

#include "broker/core/cohort.h"
#include "broker/core/kinds.h"
#include "broker/core/names.h"

namespace entente::broker {
namespace {

bool draws(const Job&) { return true; }

Turnout turnout(const Job&) { return {1, 1, 1}; }

// Who trained before this round; nobody in the first one.
std::optional<SiteId> last_to_train(const Job& job, Round round) {
  const Part* last = nullptr;
  for (const auto& [id, part] : job.parts) {
    const auto trained = part.row.last_round;
    if (trained != 0 && trained < round && (last == nullptr || trained > last->row.last_round)) {
      last = &part;
    }
  }
  return last == nullptr ? std::nullopt : std::optional(last->row.site);
}

std::vector<SiteId> sites_in_turn(const State& state, const Job& job, Round round) {
  auto sites = sites_at_work(state, job, Among::holding_places);
  if (const auto last = last_to_train(job, round)) {
    std::rotate(sites.begin(), std::upper_bound(sites.begin(), sites.end(), *last), sites.end());
  }
  return sites;
}

std::string describe(const Job&, const std::vector<SiteId>& asked) {
  return fmt::format("training at {}", asked.empty() ? "nobody yet" : names(asked));
}

}  // namespace

const KindRules kCyclicKind{always<TaskKind::train>, true,     draws,        turnout,
                            sites_in_turn,           describe, merge_updates};

}  // namespace entente::broker
