#include "coordinator/text.h"

#include <fmt/format.h>

#include <algorithm>

namespace entente::cli {

Expected<JobId> parse_job(const std::string& text) {
  if (const auto id = JobId::parse(text)) {
    return *id;
  }
  return refuse("job_unknown", fmt::format("\"{}\" is no job id", text),
                "list your jobs with: entente job list");
}

std::string describe(const Metrics& metrics) {
  std::string text;
  for (const auto& [name, value] : metrics) {
    text += fmt::format("{}{} {:.4f}", text.empty() ? "" : ", ", name, value);
  }
  return text;
}

void print_table(const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) {
      widths[i] = std::max(widths[i], row[i].size());
    }
  }
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) {
      line += fmt::format("{:<{}}  ", row[i], widths[i]);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    fmt::print("{}\n", line);
  }
}

}  // namespace entente::cli
