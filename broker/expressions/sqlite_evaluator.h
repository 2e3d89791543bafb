// Evaluates the expressions of jobs over adverts with an SQLite that has no database: no file, no
// table but the two of advert_tables.h, nothing to write to.
//
// An expression is a stranger's program, so it is held by several bounds at once:
//  - an authorizer with an allow-list: reading those two tables, and a few functions that cannot
//    take long or make much (a deny-list would have to know hex(zeroblob(4e8)), and the next one);
//  - SQLite's own limits on length, depth and patterns;
//  - a budget of steps for each evaluation, for joins of tables with themselves;
//  - it must be one balanced expression: it cannot close the brackets that it is put into.
//
// Answers are kept by (expression, site) until the site's advert changes. Not thread-safe; used by
// the loop thread. `const` because no answer depends on what was asked before.
#pragma once

#include <memory>

#include "broker/core/evaluator.h"

namespace entente::broker {

class SqliteEvaluator : public Evaluator {
 public:
  SqliteEvaluator();  // throws std::runtime_error when SQLite cannot be set up
  ~SqliteEvaluator() override;

  // Refuses with "expression_invalid": syntax, a name that is unknown (with the nearest one), what
  // is not allowed, a result of the wrong type, one that takes too long.
  [[nodiscard]] std::optional<Refusal> check(const std::string& expression, Use use,
                                             std::string_view key) const override;
  [[nodiscard]] bool holds(const std::string& expression, const SiteId& site,
                           const SiteAdvert& advert) const override;
  [[nodiscard]] double rank(const std::string& expression, const SiteId& site,
                            const SiteAdvert& advert) const override;
  [[nodiscard]] std::string seen(const std::string& expression, const SiteId& site,
                                 const SiteAdvert& advert) const override;

 private:
  struct Engine;
  std::unique_ptr<Engine> engine_;
};

}  // namespace entente::broker
