#include "site-agent/service/findings.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

namespace entente::agent {
namespace {

const char* word(Health health) {
  switch (health) {
    case Health::ok:
      return "ok";
    case Health::warn:
      return "warn";
    case Health::fail:
      return "fail";
  }
  return "";
}

}  // namespace

Finding ok(std::string check, std::string message) {
  return {Health::ok, std::move(check), std::move(message), {}};
}

Finding warn(std::string check, std::string message, std::string hint) {
  return {Health::warn, std::move(check), std::move(message), std::move(hint)};
}

Finding fail(std::string check, std::string message, std::string hint) {
  return {Health::fail, std::move(check), std::move(message), std::move(hint)};
}

Finding fail(std::string check, const Refusal& refusal) {
  return fail(std::move(check), refusal.message, refusal.hint);
}

bool any_failed(const Findings& findings) {
  return std::any_of(findings.begin(), findings.end(),
                     [](const Finding& finding) { return finding.health == Health::fail; });
}

std::string to_text(const Findings& findings, std::size_t width) {
  for (const Finding& finding : findings) {
    width = std::max(width, finding.check.size());
  }
  std::string text;
  for (const auto& [health, check, message, hint] : findings) {
    text += fmt::format("{:<4}  {:<{}}  {}\n", word(health), check, width, message);
    if (!hint.empty()) {
      text += fmt::format("{:<{}}  hint: {}\n", "", width + 6, hint);
    }
  }
  return text;
}

std::string to_json_text(const Findings& findings) {
  auto list = nlohmann::json::array();
  for (const auto& [health, check, message, hint] : findings) {
    list.push_back(
        {{"check", check}, {"health", word(health)}, {"message", message}, {"hint", hint}});
  }
  return list.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

}  // namespace entente::agent
