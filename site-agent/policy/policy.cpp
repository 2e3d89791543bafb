#include "site-agent/policy/policy.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "common/base/nearest.h"
#include "common/base/quote.h"

namespace entente::agent {
namespace {

constexpr std::int64_t kMinuteMs = 60'000;
constexpr std::int64_t kDayMinutes = 24 * 60;

bool allows(const std::vector<std::string>& list, const std::string& name) {
  return std::any_of(list.begin(), list.end(),
                     [&](const std::string& entry) { return entry == "*" || entry == name; });
}

// A clause that has an opinion on every job: what it holds against one.
struct Rule {
  std::string_view clause;
  // Nothing when the clause allows the job.
  std::optional<std::string> (*objection)(const Policy&, const OfferFacts&);
  std::string (*remedy)(const OfferFacts&, std::string_view clause);
};

std::string unlisted(const std::string& name) { return "does not list " + quote(name); }

std::optional<std::string> unless_listed(const std::vector<std::string>& list,
                                         const std::string& name) {
  return allows(list, name) ? std::nullopt : std::optional(unlisted(name));
}

std::optional<std::string> unless_all_listed(const std::vector<std::string>& list,
                                             const std::vector<std::string>& names) {
  const auto missing = std::find_if(names.begin(), names.end(),
                                    [&](const std::string& name) { return !allows(list, name); });
  return missing == names.end() ? std::nullopt : std::optional(unlisted(*missing));
}

std::optional<std::string> unless_at_most(const std::optional<std::uint64_t>& max,
                                          std::uint64_t value, std::string_view unit) {
  if (!max || value <= *max) {
    return std::nullopt;
  }
  return fmt::format("allows {} {}, the job has {}", *max, unit, value);
}

std::string ask_for_more(const OfferFacts&, std::string_view clause) {
  return fmt::format("ask the site to widen {} under [policy] in its agent.toml", clause);
}

constexpr std::array kRules{
    Rule{"coordinators",
         [](const Policy& policy, const OfferFacts& facts) {
           return unless_listed(policy.coordinators, facts.coordinator);
         },
         ask_for_more},
    Rule{"kinds",
         [](const Policy& policy, const OfferFacts& facts) {
           return unless_listed(policy.kinds, facts.kind);
         },
         ask_for_more},
    Rule{"datasets",
         [](const Policy& policy, const OfferFacts& facts) {
           return unless_all_listed(policy.datasets, facts.datasets);
         },
         ask_for_more},
    Rule{"layers",
         [](const Policy& policy, const OfferFacts& facts) {
           return policy.layers.empty() ? std::nullopt
                                        : unless_all_listed(policy.layers, facts.layers);
         },
         ask_for_more},
    Rule{"parameters_max",
         [](const Policy& policy, const OfferFacts& facts) {
           return unless_at_most(policy.parameters_max, facts.parameters, "parameters");
         },
         [](const OfferFacts&, std::string_view) {
           return std::string("choose a smaller model for this site");
         }},
    Rule{"update_max",
         [](const Policy& policy, const OfferFacts& facts) {
           return unless_at_most(policy.update_bytes_max, facts.update_bytes,
                                 "bytes to leave the site in a round");
         },
         [](const OfferFacts& facts, std::string_view) {
           return std::string(facts.kind == "predict" ? "predict fewer rows at once"
                                                      : "choose a smaller model for this site");
         }},
    Rule{
        "cohort_min",
        [](const Policy& policy, const OfferFacts& facts) -> std::optional<std::string> {
          if (facts.cohort >= policy.cohort_min) {
            return std::nullopt;
          }
          if (facts.shows_single_sites) {
            return fmt::format(
                "asks for {} sites behind what others see, and a job of the kind \"{}\" shows them "
                "each site's own model",
                policy.cohort_min, facts.kind);
          }
          return fmt::format("asks for {} sites in a round, this job's rounds may close with {}",
                             policy.cohort_min, facts.cohort);
        },
        [](const OfferFacts& facts, std::string_view clause) {
          return facts.shows_single_sites
                     ? fmt::format(
                           "ask the site whether {} = 1 would do for this, or train one "
                           "model together",
                           clause)
                     : std::string("raise sites.min and sites.quorum in the job file");
        }},
};

std::string names(const std::vector<std::string>& list) {
  return list.empty() ? "nothing" : fmt::format("{}", fmt::join(list, ", "));
}

std::string width(const std::vector<std::string>& list) {
  const bool is_open = std::find(list.begin(), list.end(), "*") != list.end();
  return list.empty() ? "none" : is_open ? "any" : std::to_string(list.size());
}

std::string zone(std::int32_t offset_minutes) {
  if (offset_minutes == 0) {
    return "UTC";
  }
  const auto size = std::abs(offset_minutes);
  return fmt::format("UTC{}{:02}:{:02}", offset_minutes < 0 ? '-' : '+', size / 60, size % 60);
}

std::string clock(std::uint32_t minute) {
  return fmt::format("{:02}:{:02}", minute / 60, minute % 60);
}

// Minutes since 1970 at the site's clock; rounds down, also before 1970.
std::int64_t local_minutes(const Policy& policy, UnixMillis now) {
  const auto minutes = now / kMinuteMs - (now % kMinuteMs < 0 ? 1 : 0);
  return minutes + policy.utc_offset_minutes;
}

std::int64_t minute_of_day(const Policy& policy, UnixMillis now) {
  const auto rest = local_minutes(policy, now) % kDayMinutes;
  return rest < 0 ? rest + kDayMinutes : rest;
}

// The next time at which the site's clock shows `minute`, after `now`.
UnixMillis next_at(const Policy& policy, UnixMillis now, std::int64_t minute) {
  auto ahead = minute - minute_of_day(policy, now);
  if (ahead <= 0) {
    ahead += kDayMinutes;
  }
  return (local_minutes(policy, now) - policy.utc_offset_minutes + ahead) * kMinuteMs;
}

bool contains(const Hours& hours, std::int64_t minute) {
  const std::int64_t from = hours.from_minute;
  const std::int64_t to = hours.to_minute;
  return from < to ? minute >= from && minute < to : minute >= from || minute < to;
}

Wait used_up(const Policy& policy, std::string_view clause, std::uint32_t used, std::uint32_t max,
             UnixMillis now) {
  return {fmt::format("policy clause \"{}\" ({} of {} used, free again 00:00 {})", clause, used,
                      max, zone(policy.utc_offset_minutes)),
          next_at(policy, now, 0)};
}

// The clauses beyond the three lists, as people read them.
std::vector<std::string> narrower_clauses(const Policy& policy) {
  std::vector<std::string> texts;
  const auto add = [&texts](std::string_view clause, const auto& value) {
    texts.push_back(fmt::format("{} {}", clause, value));
  };
  if (!policy.layers.empty()) {
    add("layers", fmt::format("({})", policy.layers.size()));
  }
  if (policy.parameters_max) {
    add("parameters_max", *policy.parameters_max);
  }
  if (policy.update_bytes_max) {
    add("update_max", fmt::format("{} bytes", *policy.update_bytes_max));
  }
  if (policy.cohort_min > 1) {
    add("cohort_min", policy.cohort_min);
  }
  if (policy.statistics_cell_min != kStatisticsCellMinDefault) {
    add("statistics_cell_min", policy.statistics_cell_min);
  }
  if (policy.evaluation_examples_min != kEvaluationExamplesMinDefault) {
    add("evaluation_examples_min", policy.evaluation_examples_min);
  }
  if (policy.rounds_per_day) {
    add("rounds_per_day", *policy.rounds_per_day);
  }
  if (!policy.rounds_of.empty()) {
    add("rounds_per_day_of", fmt::format("({})", policy.rounds_of.size()));
  }
  if (policy.hours) {
    add("hours", policy.hours->text() + " " + zone(policy.utc_offset_minutes));
  }
  if (policy.approve == Approval::manual) {
    add("approve", "manual");
  }
  return texts;
}

std::string with_narrower(std::string text, const Policy& policy, std::string_view separator) {
  for (const auto& clause : narrower_clauses(policy)) {
    text += fmt::format("{}{}", separator, clause);
  }
  return text;
}

}  // namespace

std::optional<Hours> Hours::parse(std::string_view text) {
  const auto digit = [&](std::size_t at) { return static_cast<std::uint32_t>(text[at] - '0'); };
  constexpr std::string_view kForm = "00:00-00:00";
  if (text.size() != kForm.size()) {
    return std::nullopt;
  }
  for (std::size_t i = 0; i < kForm.size(); ++i) {
    const bool is_digit = text[i] >= '0' && text[i] <= '9';
    if (kForm[i] == '0' ? !is_digit : text[i] != kForm[i]) {
      return std::nullopt;
    }
  }
  const auto minute = [&](std::size_t at) -> std::optional<std::uint32_t> {
    const auto hour = digit(at) * 10 + digit(at + 1);
    const auto rest = digit(at + 3) * 10 + digit(at + 4);
    return hour < 24 && rest < 60 ? std::optional(hour * 60 + rest) : std::nullopt;
  };
  const auto from = minute(0);
  const auto to = minute(6);
  if (!from || !to || *from == *to) {
    return std::nullopt;
  }
  return Hours{*from, *to};
}

std::string Hours::text() const {
  return fmt::format("{}-{}", clock(from_minute), clock(to_minute));
}

std::optional<Refusal> decide(const Policy& policy, const OfferFacts& facts) {
  for (const Rule& rule : kRules) {
    if (const auto objection = rule.objection(policy, facts)) {
      return Refusal{"policy_declined",
                     fmt::format("policy clause \"{}\" {}", rule.clause, *objection),
                     rule.remedy(facts, rule.clause), Scope::site};
    }
  }
  return std::nullopt;
}

std::optional<Wait> must_wait(const Policy& policy, std::string_view coordinator,
                              const Circumstances& moment) {
  if (policy.approve == Approval::manual && !moment.approved) {
    return Wait{"policy clause \"approve\" (manual): waits for approval at the site", std::nullopt};
  }
  if (policy.hours && !contains(*policy.hours, minute_of_day(policy, moment.now))) {
    const auto from = policy.hours->from_minute;
    return Wait{fmt::format("policy clause \"hours\" ({0} {1}), free again {2} {1}",
                            policy.hours->text(), zone(policy.utc_offset_minutes), clock(from)),
                next_at(policy, moment.now, from)};
  }
  if (!moment.starts_round) {
    return std::nullopt;
  }
  if (policy.rounds_per_day && moment.rounds_today >= *policy.rounds_per_day) {
    return used_up(policy, "rounds_per_day", moment.rounds_today, *policy.rounds_per_day,
                   moment.now);
  }
  const auto own = policy.rounds_of.find(std::string(coordinator));
  if (own != policy.rounds_of.end() && moment.rounds_today_of_coordinator >= own->second) {
    return used_up(policy, fmt::format("rounds_per_day_of.{}", coordinator),
                   moment.rounds_today_of_coordinator, own->second, moment.now);
  }
  return std::nullopt;
}

std::optional<Refusal> check_cohort(const Policy& policy, std::uint32_t cohort) {
  if (policy.cohort_min <= 1 || cohort >= policy.cohort_min) {
    return std::nullopt;
  }
  return Refusal{"policy_declined",
                 fmt::format("policy clause \"cohort_min\" asks for {} sites in a round, this one "
                             "has {}",
                             policy.cohort_min, cohort),
                 "raise sites.min in the job file", Scope::site};
}

std::optional<Refusal> check_evaluation(const Policy& policy, std::uint64_t examples) {
  if (examples >= policy.evaluation_examples_min) {
    return std::nullopt;
  }
  return Refusal{"policy_declined",
                 fmt::format("policy clause \"evaluation_examples_min\" asks for {} examples in an "
                             "evaluation, this site has {}",
                             policy.evaluation_examples_min, examples),
                 "the evaluation counts the other sites", Scope::task};
}

std::int64_t day_of(const Policy& policy, UnixMillis now) {
  const auto minutes = local_minutes(policy, now);
  return minutes / kDayMinutes - (minutes % kDayMinutes < 0 ? 1 : 0);
}

Refusal dataset_unknown(std::string_view wanted, const std::vector<std::string>& available) {
  std::string hint = available.empty()
                         ? std::string("this site offers no dataset")
                         : fmt::format("this site has: {}", fmt::join(available, ", "));
  if (const auto near = nearest(wanted, available)) {
    hint = fmt::format("did you mean \"{}\"?", *near);
  }
  return Refusal{"dataset_unknown", fmt::format("this site has no dataset {}", quote(wanted)),
                 std::move(hint), Scope::site};
}

std::string summary(const Policy& policy) {
  return with_narrower(
      fmt::format("coordinators: {}; datasets: {}; kinds: {}", names(policy.coordinators),
                  names(policy.datasets), names(policy.kinds)),
      policy, "; ");
}

std::string clauses(const Policy& policy) {
  return with_narrower(
      fmt::format("coordinators ({}), datasets ({}), kinds ({})", width(policy.coordinators),
                  width(policy.datasets), width(policy.kinds)),
      policy, ", ");
}

}  // namespace entente::agent
