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
      const bool fits = broker::fits(spec, site);
      has_changed = has_changed || fits != fits_[site.index];
      fits_[site.index] = fits;
    }
  }
  seen_ = state.adverts;
  if (!has_changed) {
    return;
  }
  eligible_.clear();
  const auto& mandatory = spec.sites.mandatory;
  for (const bool wants_mandatory : {true, false}) {
    for (const auto& [id, site] : state.sites) {
      const bool is_mandatory =
          std::find(mandatory.begin(), mandatory.end(), id) != mandatory.end();
      if (is_mandatory == wants_mandatory && fits_[site.index]) {
        eligible_.push_back(site.index);
      }
    }
  }
}

}  // namespace entente::broker
