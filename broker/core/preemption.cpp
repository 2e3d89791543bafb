#include "broker/core/preemption.h"

#include <algorithm>
#include <tuple>

namespace entente::broker {
namespace {

// What an applicant could claim, were the slots of some tenants free.
class Reach {
 public:
  Reach(std::span<const SiteSlots> sites, const Applicant& applicant)
      : applicant_(applicant), slots_(sites.size(), 0), part_(sites.size(), Part::none) {
    for (std::size_t i = 0; i < applicant.candidates.size(); ++i) {
      const auto site = applicant.candidates[i];
      if (sites[site].is_there) {
        part_[site] = i < applicant.mandatory ? Part::mandatory : Part::wanted;
        add(site, sites[site].free);
      }
    }
  }

  void add(const Tenant& tenant) {
    for (const auto site : tenant.sites) {
      add(site, 1);
    }
  }
  void remove(const Tenant& tenant) {
    for (const auto site : tenant.sites) {
      slots_[site] -= 1;
      count(site, slots_[site] == 0 ? -1 : 0);
    }
  }

  [[nodiscard]] bool is_enough() const {
    return within_ >= applicant_.need && mandatory_within_ >= applicant_.mandatory;
  }
  // Whether it holds a slot that the applicant lacks.
  [[nodiscard]] bool is_helped_by(const Tenant& tenant) const {
    return std::any_of(tenant.sites.begin(), tenant.sites.end(), [this](SiteIndex site) {
      return part_[site] != Part::none && slots_[site] == 0;
    });
  }

 private:
  enum class Part : std::uint8_t { none, wanted, mandatory };

  void add(SiteIndex site, std::uint32_t slots) {
    count(site, slots_[site] == 0 && slots > 0 ? 1 : 0);
    slots_[site] += slots;
  }
  void count(SiteIndex site, int change) {
    within_ += part_[site] != Part::none ? change : 0;
    mandatory_within_ += part_[site] == Part::mandatory ? change : 0;
  }

  const Applicant& applicant_;
  std::vector<std::uint32_t> slots_;  // free ones, by site
  std::vector<Part> part_;
  std::int64_t within_ = 0;  // candidates with a free slot
  std::int64_t mandatory_within_ = 0;
};

}  // namespace

std::vector<std::size_t> choose_yields(std::span<const SiteSlots> sites, const Applicant& applicant,
                                       std::span<const Tenant> tenants) {
  Reach reach(sites, applicant);
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < tenants.size(); ++i) {
    if (tenants[i].priority < applicant.priority && reach.is_helped_by(tenants[i])) {
      order.push_back(i);
    }
  }
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return std::tie(tenants[a].priority, tenants[b].number) <
           std::tie(tenants[b].priority, tenants[a].number);
  });
  std::vector<std::size_t> yields;
  for (const auto tenant : order) {
    if (reach.is_enough()) {
      break;
    }
    reach.add(tenants[tenant]);
    yields.push_back(tenant);
  }
  if (!reach.is_enough()) {
    return {};
  }
  // Some may have turned out not to be needed: the highest are let off first.
  for (auto i = yields.size(); i-- > 0;) {
    reach.remove(tenants[yields[i]]);
    if (reach.is_enough()) {
      yields.erase(yields.begin() + static_cast<std::ptrdiff_t>(i));
    } else {
      reach.add(tenants[yields[i]]);
    }
  }
  return yields;
}

}  // namespace entente::broker
