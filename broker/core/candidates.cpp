#include "broker/core/candidates.h"

#include <algorithm>

#include "broker/core/matchmaker.h"
#include "broker/core/state.h"

namespace entente::broker {

void Candidates::refresh(const JobSpec& spec, const State& state) {
  if (seen_ == state.adverts) {
    return;
  }
  seen_.resize(state.adverts.size());
  fits_.resize(state.adverts.size());
  bool has_changed = false;
  for (const auto& [id, site] : state.sites) {
    if (seen_[site.index] != state.adverts[site.index]) {
      const bool fits = broker::fits(spec, site, *state.evaluator);
      has_changed = has_changed || fits != fits_[site.index] || !spec.sites.prefer.empty();
      fits_[site.index] = fits;
    }
  }
  seen_ = state.adverts;
  if (!has_changed) {
    return;
  }
  std::vector<SiteId> fitting;
  for (const auto& [id, site] : state.sites) {
    if (fits_[site.index]) {
      fitting.push_back(id);
    }
  }
  if (!spec.sites.prefer.empty()) {
    sort_by_preference(fitting, spec.sites.prefer, state);
  }
  const auto& mandatory = spec.sites.mandatory;
  std::stable_partition(fitting.begin(), fitting.end(), [&mandatory](const SiteId& id) {
    return std::find(mandatory.begin(), mandatory.end(), id) != mandatory.end();
  });
  eligible_.clear();
  for (const auto& id : fitting) {
    eligible_.push_back(state.sites.at(id).index);
  }
}

}  // namespace entente::broker
