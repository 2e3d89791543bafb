#include "site-agent/policy/policy.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>

#include "common/base/nearest.h"
#include "common/base/quote.h"

namespace entente::agent {
namespace {

bool allows(const std::vector<std::string>& list, const std::string& name) {
  return std::any_of(list.begin(), list.end(),
                     [&](const std::string& entry) { return entry == "*" || entry == name; });
}

// A clause of the policy: what it holds against an offer, and the name that it misses.
struct Rule {
  std::string_view clause;
  // The first name in the offer that the clause does not allow; nothing when it allows all.
  std::optional<std::string> (*objection)(const Policy&, const OfferFacts&);
};

std::optional<std::string> unless_listed(const std::vector<std::string>& list,
                                         const std::string& name) {
  return allows(list, name) ? std::nullopt : std::optional(name);
}

constexpr std::array kRules{
    Rule{"coordinators",
         [](const Policy& policy, const OfferFacts& facts) {
           return unless_listed(policy.coordinators, facts.coordinator);
         }},
    Rule{"kinds", [](const Policy& policy,
                     const OfferFacts& facts) { return unless_listed(policy.kinds, facts.kind); }},
    Rule{"datasets",
         [](const Policy& policy, const OfferFacts& facts) -> std::optional<std::string> {
           const auto missing = std::find_if(
               facts.datasets.begin(), facts.datasets.end(),
               [&](const std::string& dataset) { return !allows(policy.datasets, dataset); });
           return missing == facts.datasets.end() ? std::nullopt : std::optional(*missing);
         }},
};

std::string names(const std::vector<std::string>& list) {
  return list.empty() ? "nothing" : fmt::format("{}", fmt::join(list, ", "));
}

std::string width(const std::vector<std::string>& list) {
  const bool is_open = std::find(list.begin(), list.end(), "*") != list.end();
  return list.empty() ? "none" : is_open ? "any" : std::to_string(list.size());
}

}  // namespace

std::optional<Refusal> decide(const Policy& policy, const OfferFacts& facts) {
  for (const Rule& rule : kRules) {
    if (const auto missing = rule.objection(policy, facts)) {
      return Refusal{
          "policy_declined",
          fmt::format("policy clause \"{}\" does not list {}", rule.clause, quote(*missing)),
          fmt::format("ask the site to add {} to {} under [policy] in its agent.toml",
                      quote(*missing), rule.clause),
          Scope::site};
    }
  }
  return std::nullopt;
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
  return fmt::format("coordinators: {}; datasets: {}; kinds: {}", names(policy.coordinators),
                     names(policy.datasets), names(policy.kinds));
}

std::string clauses(const Policy& policy) {
  return fmt::format("coordinators ({}), datasets ({}), kinds ({})", width(policy.coordinators),
                     width(policy.datasets), width(policy.kinds));
}

}  // namespace entente::agent
