// Decides which waiting job claims which sites now, and what every other one waits for.
//
// A claim is one slot of one site that a job holds from the moment it asks the site to its end. Who
// comes first is settled by priority, then by fair share, then by age. A job starts only when it
// can claim all the sites that it needs at once.
//
// Rules
//
//  1. ORDER. The higher priority goes first. Among equals, the job of the coordinator who has used
//     least (usage.h), where every slot that is held counts as kHeldCounts more. Of one
//     coordinator's, the older one.
//     Rationale: priority is the consortium's word, share keeps one busy coordinator from owning
//     it, age keeps a coordinator's own jobs in line. What was claimed a moment ago has used
//     nothing yet; unless it counted, whoever comes first would take every free slot.
//
//  2. GANG. A job claims at least `need` sites at once, those that it cannot do without among
//     them, or none. It takes up to `want`.
//     Rationale: jobs that hold some sites and wait for others stop each other for ever.
//
//  3. RESERVATION. The first job in the order that lacks nothing but slots reserves `need` sites:
//     those that it cannot do without, then those with a free slot, then those where one is about
//     to be (rule 8), then others, each in the job's order of preference. Nobody behind it gets the
//     last free slot of a reserved site. It stays first among its equals until it starts.
//     Rationale: a free slot that it needs is never given away, so it starts at the latest when
//     all jobs that ran when it reserved have ended, unless jobs of a higher priority come or
//     sites leave. It keeps its turn because two coordinators with the same usage would otherwise
//     take it from each other, and slots go to third ones in between.
//
//  4. BACKFILL. A job behind the reservation starts on the slots that the reservation does not
//     need.
//     Rationale: they would idle, and the reservation starts no later for it.
//
//  5. A site that is away or draining cannot be claimed. A job with too few sites that are there
//     waits for sites, not for slots: it reserves nothing.
//     Rationale: a site may be away for weeks; others' slots would idle as long.
//
//  6. QUOTA. What would exceed its coordinator's quota waits for that and reserves nothing.
//     Rationale: only its own coordinator's jobs can change that.
//
//  7. UNDER WAY. A running job that lacks a site claims it before anybody else does, reserved or
//     not. One that looks for sites beyond its need comes last of all.
//     Rationale: the slots that the running job holds idle meanwhile. The other one has enough.
//
//  8. PREEMPTION. Where the free slots are not enough for the job of rule 3, running jobs of a
//     lower priority that may be preempted give way to it, each when its round has ended: as few as
//     possible, those of the lowest priority first, the youngest of them before others. None does
//     unless all that yield are enough together. The reservation then lies on their sites.
//     Rationale: a slot is lent to a preemptible job while nobody of more weight needs it. At a
//     round's end nothing that was trained is lost; and what is not enough would help nobody.
//
// No livelock. A job goes on only after it has claimed again, and gives way only when another round
// of it is merged: of R rounds it gives way R - 1 times at most, and it runs on in between. Whoever
// it gives way to holds the reservation, so that the slots that come free are kept for it.
//
// Starvation. Of jobs of equal priority everyone starts: at the head a job waits no longer than
// the longest job that runs then (rule 3), and it comes to the head because whoever is served
// before it moves back by its usage. A low priority may starve for ever; that is what it says.
//
// Pure: no clock, no state. Complexity: n log n for the order of n jobs, and for each job a pass
// over its candidates; memory is that of the plan.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/base/ids.h"

namespace entente::broker {

// A site by its number in the pool.
using SiteIndex = std::uint32_t;

// Seconds of use that a slot counts for from the moment it is claimed.
constexpr double kHeldCounts = 60;

struct SiteSlots {
  std::uint32_t free = 0;
  bool is_there = false;  // connected, and not draining
};

// At once, of one coordinator.
struct Quota {
  std::optional<std::uint32_t> jobs;
  std::optional<std::uint32_t> slots;
  bool operator==(const Quota&) const = default;
};

// What a coordinator has and has had.
struct Account {
  double usage = 0;         // site-seconds, decayed
  std::uint32_t slots = 0;  // held now
  std::uint32_t jobs = 0;   // that hold any
};

enum class Stage : std::uint8_t {
  waiting,  // holds nothing, or too little to go on
  enough,   // could start; takes more while it still asks
  running,  // lacks a site
};

struct Applicant {
  JobId job;
  Stage stage = Stage::waiting;
  std::string coordinator;
  std::int32_t priority = 0;
  std::uint64_t number = 0;  // in the order of submission
  std::uint32_t need = 1;    // claims without which it takes none
  std::uint32_t want = 1;    // at most
  // In order of preference, those that it holds or that have declined left out. The first
  // `mandatory` of them must be among its claims.
  std::span<const SiteIndex> candidates;
  std::uint32_t mandatory = 0;
  bool lacks_mandatory = false;  // one of them is no candidate
  bool holds_claims = false;     // counts among its coordinator's jobs already
};

// A running job whose slots a job of a higher priority may have (rule 8).
struct Tenant {
  JobId job;
  std::int32_t priority = 0;
  std::uint64_t number = 0;
  std::vector<SiteIndex> sites;  // where it holds one
};

enum class WaitsFor : std::uint8_t {
  sites,            // too few that fit are there
  mandatory_sites,  // one that it cannot do without is not
  slots,            // too few of them have a free slot
  mandatory_slots,  // one that it cannot do without has none
  reservation,      // enough have, but a job ahead needs them
  job_quota,
  slot_quota,
};

struct Claims {
  std::size_t applicant = 0;
  std::vector<SiteIndex> sites;
};

struct Wait {
  WaitsFor what = WaitsFor::slots;
  std::uint32_t need = 0;  // sites; of a job quota, what it allows
  std::uint32_t have = 0;  // that are there, have a free slot, or are left of the quota
  bool operator==(const Wait&) const = default;
};

// "needs 3 sites at once; 1 of those that fit has a free slot"
[[nodiscard]] std::string sentence(const Wait& wait);

struct Waiting {
  std::size_t applicant = 0;
  Wait wait;
  std::vector<SiteIndex> reserved;  // not empty for the one that holds the reservation
};

struct Plan {
  std::vector<Claims> claims;    // in order
  std::vector<Waiting> waiting;  // the stage `waiting` only, in order
  std::vector<std::size_t>
      yields;  // of the tenants, those that give way to who holds the reservation
};

// `reserved` held the reservation until now, if anybody did.
[[nodiscard]] Plan plan_claims(std::vector<SiteSlots> sites,
                               std::map<std::string, Account> accounts, const Quota& quota,
                               std::span<const Applicant> applicants,
                               std::span<const Tenant> tenants,
                               const std::optional<JobId>& reserved);

}  // namespace entente::broker
