// Which sites fit a job, remembered from one plan to the next: a site is looked at again only when
// its advert has changed. With a thousand jobs and a thousand sites the rules are otherwise
// evaluated a million times for every slot that becomes free.
//
// Complexity of a refresh: a comparison per site, and the rules for each one that has changed.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "broker/core/scheduler.h"
#include "common/base/ids.h"
#include "common/domain/job_spec.h"

namespace entente::broker {

struct Site;
struct State;

class Candidates {
 public:
  // Brings the list up to date.
  void refresh(const JobSpec& spec, const State& state);

  // Mandatory sites first, then by preference, then by id, whether they are there or not.
  [[nodiscard]] const std::vector<SiteIndex>& eligible() const { return eligible_; }
  [[nodiscard]] bool fits(SiteIndex site) const { return fits_[site]; }

 private:
  std::vector<std::uint64_t> seen_;  // State::adverts as of the last refresh
  std::vector<bool> fits_;           // by Site::index
  std::vector<SiteIndex> eligible_;
};

}  // namespace entente::broker
