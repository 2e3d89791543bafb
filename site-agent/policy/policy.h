// The site's policy: what the institution lets others do with its data.
//
//  - Default deny. `coordinators`, `datasets` and `kinds` allow what they list; a list that is
//    missing or empty allows nothing, "*" everything. The other clauses narrow that further.
//  - The decision is the site's alone and is made here, at the site, on every job offer and again
//    on every task; a broker that asks for more gets a refusal, never data.
//  - A clause either says no for good (`decide`), or not now (`must_wait`): outside its hours, once
//    the day's rounds are used, while people have not approved. What frees up again says when.
//  - A word of no names the clause, so that a coordinator knows what to ask for and the site's
//    people know which line of agent.toml spoke.
//
// Pure; may be called from any thread. Times are UTC unless the policy says how far its zone is
// ahead.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/refusal.h"
#include "common/base/time.h"

namespace entente::agent {

// Part of a day, in minutes from midnight; over midnight when `to` is not after `from`.
struct Hours {
  std::uint32_t from_minute = 0;
  std::uint32_t to_minute = 0;

  // "22:00-06:00"; nothing for any other text.
  [[nodiscard]] static std::optional<Hours> parse(std::string_view text);
  [[nodiscard]] std::string text() const;
  bool operator==(const Hours&) const = default;
};

// Counts of fewer examples come close to telling about one of them.
constexpr std::uint64_t kEvaluationExamplesMinDefault = 20;

// Statistics say nothing of fewer rows, as it is usual for tables of patients.
constexpr std::uint64_t kStatisticsCellMinDefault = 10;

// Who has to agree to a job.
enum class Approval : std::uint8_t { automatic, manual };

// The [policy] table of agent.toml.
struct Policy {
  std::vector<std::string> coordinators;  // who may ask
  std::vector<std::string> datasets;      // what may be computed on
  std::vector<std::string> kinds;         // kinds of jobs, by its words (job_kind.h)

  std::vector<std::string> layers{};                // that a model may have; empty: any
  std::optional<std::uint64_t> parameters_max{};    // of a model
  std::optional<std::uint64_t> update_bytes_max{};  // of what leaves the house in one round
  std::uint32_t cohort_min = 1;                     // sites in a round, this one among them
  std::uint64_t statistics_cell_min = kStatisticsCellMinDefault;  // rows behind a told number
  // Examples of an evaluation at the least: what is measured on fewer stays in the house.
  std::uint64_t evaluation_examples_min = kEvaluationExamplesMinDefault;
  std::optional<std::uint32_t> rounds_per_day{};     // of training, for all together
  std::map<std::string, std::uint32_t> rounds_of{};  // likewise, for one coordinator
  std::optional<Hours> hours{};                      // of work on the data
  std::int32_t utc_offset_minutes = 0;               // of the site's clock, for hours and days
  Approval approve = Approval::automatic;
};

// What the policy needs to know about a job.
struct OfferFacts {
  std::string coordinator;
  std::vector<std::string> datasets;  // every dataset of this site that the job would read
  std::string kind = "train";
  std::vector<std::string> layers{};
  std::uint64_t parameters = 0;
  std::uint64_t update_bytes = 0;
  std::uint32_t cohort = 1;  // sites that a round has, at the least
  bool shows_single_sites =
      false;  // others get to see this site's own model, however many there are
};

// What it needs to know about the moment.
struct Circumstances {
  UnixMillis now = 0;
  std::uint32_t rounds_today = 0;
  std::uint32_t rounds_today_of_coordinator = 0;
  bool starts_round = false;  // a round that has not been counted yet would begin
  bool approved = false;      // by people, for exactly this job
};

// Not now: the clause in a sentence, and when to ask again if time alone will change it.
struct Wait {
  std::string sentence;
  std::optional<UnixMillis> until;
  bool operator==(const Wait&) const = default;
};

// Nothing when the policy allows the job at some time; otherwise a refusal with code
// "policy_declined" whose message names the first clause that does not.
[[nodiscard]] std::optional<Refusal> decide(const Policy& policy, const OfferFacts& facts);

// Nothing when what `decide` allows may go on now.
[[nodiscard]] std::optional<Wait> must_wait(const Policy& policy, std::string_view coordinator,
                                            const Circumstances& moment);

// The refusal of a task whose round has fewer sites than the policy asks for.
[[nodiscard]] std::optional<Refusal> check_cohort(const Policy& policy, std::uint32_t cohort);

// The refusal to tell how a model does on so few examples.
[[nodiscard]] std::optional<Refusal> check_evaluation(const Policy& policy, std::uint64_t examples);

// Days since 1970 at the site's clock: what rounds_per_day counts by.
[[nodiscard]] std::int64_t day_of(const Policy& policy, UnixMillis now);

// The refusal of a job whose dataset this site does not have (code "dataset_unknown"), with the
// nearest name among those it has as a hint.
[[nodiscard]] Refusal dataset_unknown(std::string_view wanted,
                                      const std::vector<std::string>& available);

// `coordinators: alice; datasets: *; kinds: nothing; cohort_min 3`, for the site's own log.
[[nodiscard]] std::string summary(const Policy& policy);

// `coordinators (1), datasets (any), kinds (none), cohort_min 3`: which clauses there are and how
// wide they are, for the consortium. Names nobody.
[[nodiscard]] std::string clauses(const Policy& policy);

}  // namespace entente::agent
