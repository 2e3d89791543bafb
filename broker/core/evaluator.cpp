#include "broker/core/evaluator.h"

#include <fmt/format.h>

namespace entente::broker {
namespace {

class NoExpressions : public Evaluator {
 public:
  [[nodiscard]] std::optional<Refusal> check(const std::string&, Use,
                                             std::string_view key) const override {
    return Refusal{"expression_invalid",
                   fmt::format("{} cannot be used: this broker evaluates no expressions", key),
                   "leave it out", Scope::job};
  }
  [[nodiscard]] bool holds(const std::string&, const SiteId&, const SiteAdvert&) const override {
    return false;
  }
  [[nodiscard]] double rank(const std::string&, const SiteId&, const SiteAdvert&) const override {
    return 0;
  }
  [[nodiscard]] std::string seen(const std::string&, const SiteId&,
                                 const SiteAdvert&) const override {
    return {};
  }
};

}  // namespace

const Evaluator& no_expressions() {
  static const NoExpressions kNone;
  return kNone;
}

}  // namespace entente::broker
