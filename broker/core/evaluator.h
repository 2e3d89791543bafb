// Answers the questions that jobs ask about sites: `sites.require` and `sites.prefer`, SQL
// expressions over a site's advert (docs/expressions.md has the columns).
//
//  - A pure function of the expression, the site's name and its advert: the core stays
//    deterministic, whatever an implementation remembers between two calls.
//  - An expression comes from a coordinator and is hostile until `check` has passed it. One that
//    fails later, on an advert that nobody has foreseen, counts as "does not hold" and ranks last.
//
// Implemented by broker/expressions. Used by the loop thread only.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/ids.h"
#include "common/base/refusal.h"
#include "common/domain/site.h"

namespace entente::broker {

class Evaluator {
 public:
  // What an expression is for: `require` is true or false, `prefer` a number.
  enum class Use : std::uint8_t { require, prefer };

  virtual ~Evaluator() = default;

  // Why the expression cannot be used; nothing when it can. `key` names it in the sentence.
  [[nodiscard]] virtual std::optional<Refusal> check(const std::string& expression, Use use,
                                                     std::string_view key) const = 0;

  // Whether the site meets the expression. Unknown (SQL's NULL) is no.
  [[nodiscard]] virtual bool holds(const std::string& expression, const SiteId& site,
                                   const SiteAdvert& advert) const = 0;

  // How much the site is preferred; sites without a number come last.
  [[nodiscard]] virtual double rank(const std::string& expression, const SiteId& site,
                                    const SiteAdvert& advert) const = 0;

  // The values that the expression has looked at: `jurisdiction = 'FR', cores = 8`. Empty when it
  // looks at none.
  [[nodiscard]] virtual std::string seen(const std::string& expression, const SiteId& site,
                                         const SiteAdvert& advert) const = 0;
};

// Refuses every expression: for a core that nobody has given an evaluator.
[[nodiscard]] const Evaluator& no_expressions();

}  // namespace entente::broker
