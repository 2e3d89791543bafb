#include "coordinator/explanation_text.h"

#include <fmt/format.h>

#include <algorithm>

namespace entente::cli {
namespace {

template <class Id>
std::string names(const std::vector<Id>& ids) {
  std::string text;
  for (const auto& id : ids) {
    text += (text.empty() ? "" : ", ") + id.str();
  }
  return text;
}

// The first line beside the site's name, further ones below it.
std::string site_lines(const SiteExplanation& site, std::size_t name_width) {
  auto text =
      fmt::format("  {:<11}  {:<{}}", to_string(site.standing), site.site.str(), name_width);
  const auto indent = "\n" + std::string(text.size() + 2, ' ');
  for (std::size_t i = 0; i < site.sentences.size(); ++i) {
    text += i == 0 ? "  " : indent;
    for (const char letter : site.sentences[i]) {
      text += letter == '\n' ? indent : std::string(1, letter);
    }
  }
  text.erase(text.find_last_not_of(' ') + 1);
  return text + "\n";
}

}  // namespace

std::string describe(const Explanation& explanation) {
  auto text = fmt::format("{}: {}\n", explanation.job ? explanation.job->str() : "the job",
                          explanation.sentence);
  for (const auto& change : explanation.changes) {
    text += fmt::format("  needed       {}\n", change);
  }
  if (!explanation.reserved.empty()) {
    text += fmt::format("  reserved     the next free slots of {} are kept for it\n",
                        names(explanation.reserved));
  }
  if (!explanation.ahead.empty()) {
    text += fmt::format("  ahead        {}\n", names(explanation.ahead));
  }
  std::size_t width = 0;
  for (const auto& site : explanation.sites) {
    width = std::max(width, site.site.str().size());
  }
  for (const auto& site : explanation.sites) {
    text += site_lines(site, width);
  }
  if (explanation.sites_left_out > 0) {
    text += fmt::format("  and {} more sites, for which one answer has no room\n",
                        explanation.sites_left_out);
  }
  return text;
}

}  // namespace entente::cli
