#include "coordinator/matrix_command.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "common/base/figures.h"
#include "common/base/nearest.h"
#include "common/base/quote.h"

namespace entente::cli {
namespace {

constexpr const char* kNoCell = "-";
constexpr const char* kTogether = "all";

std::optional<double> value_in(const Metrics& metrics, const std::string& name) {
  const auto found = metrics.find(name);
  return found == metrics.end() ? std::nullopt : std::optional(found->second);
}

std::optional<double> cell(const Matrix& matrix, const MatrixRow& row, const SiteId& column) {
  if (!row.model) {
    return std::nullopt;
  }
  const auto found = row.model->at_sites.find(column);
  return found == row.model->at_sites.end() ? std::nullopt
                                            : value_in(found->second.metrics, matrix.metric);
}

std::optional<double> together(const Matrix& matrix, const MatrixRow& row) {
  return row.model ? value_in(row.model->evaluate_metrics, matrix.metric) : std::nullopt;
}

std::string full(std::optional<double> value) {
  return value ? fmt::format("{:.4f}", *value) : kNoCell;
}

// Three digits in as few characters as they need: ".912", "1", "2.35", "12.4", "5e+06".
std::string compact(std::optional<double> value) {
  if (!value) {
    return kNoCell;
  }
  const auto size = std::abs(*value);
  if (size >= 999.5) {
    return fmt::format("{:.3g}", *value);
  }
  auto text = fmt::format("{:.{}f}", *value,
                          size < 1       ? 3
                          : size < 9.995 ? 2
                          : size < 99.95 ? 1
                                         : 0);
  if (text.find('.') != std::string::npos) {
    text.erase(text.find_last_not_of('0') + 1);
    if (text.back() == '.') {
      text.pop_back();
    }
  }
  const auto zero = text.starts_with("-0.") ? 1U : 0U;
  if (text.compare(zero, 2, "0.") == 0) {
    text.erase(zero, 1);
  }
  return text == "-" || text == "-0" ? "0" : text;
}

// Examples of the column's site, as far as it has said anything.
std::optional<std::uint64_t> examples_at(const Matrix& matrix, const SiteId& site) {
  for (auto row = matrix.rows.rbegin(); row != matrix.rows.rend(); ++row) {
    if (row->model && row->model->at_sites.contains(site)) {
      return row->model->at_sites.at(site).examples;
    }
  }
  return std::nullopt;
}

// Columns of text. The first one is aligned to the left, the others to the right.
struct Grid {
  std::vector<std::vector<std::string>> rows;
  std::size_t gap = 2;

  [[nodiscard]] std::size_t width_of(std::size_t column) const {
    std::size_t width = 0;
    for (const auto& row : rows) {
      width = std::max(width, row[column].size());
    }
    return width;
  }
  // The first column, then those of [begin, end).
  [[nodiscard]] std::string text(std::size_t begin, std::size_t end) const {
    std::string text;
    for (const auto& row : rows) {
      auto line = fmt::format("{:<{}}", row[0], width_of(0));
      for (std::size_t column = begin; column < end; ++column) {
        line += fmt::format("{:>{}}", row[column], gap + width_of(column));
      }
      line.erase(line.find_last_not_of(' ') + 1);
      text += line + "\n";
    }
    return text;
  }
  // The end of the widest block of columns from `begin` on that fits, of one at the least.
  [[nodiscard]] std::size_t block_end(std::size_t begin, std::optional<std::size_t> width) const {
    const auto count = rows.front().size();
    std::size_t used = width_of(0);
    std::size_t end = begin;
    while (end < count && (end == begin || !width || used + gap + width_of(end) <= *width)) {
      used += gap + width_of(end);
      ++end;
    }
    return end;
  }
};

Grid grid_of(const Matrix& matrix, bool is_numbered) {
  Grid grid;
  grid.gap = is_numbered ? 1 : 2;
  const auto digits = std::to_string(matrix.rows.size()).size();
  const auto show = is_numbered ? compact : full;
  auto& header = grid.rows.emplace_back();
  header.emplace_back("MODEL OF");
  for (std::size_t i = 0; i < matrix.rows.size(); ++i) {
    header.push_back(is_numbered ? std::to_string(i + 1) : matrix.rows[i].site.str());
  }
  header.emplace_back(kTogether);
  for (std::size_t i = 0; i < matrix.rows.size(); ++i) {
    const auto& row = matrix.rows[i];
    auto& line = grid.rows.emplace_back();
    line.push_back(is_numbered ? fmt::format("{:>{}} {}", i + 1, digits, row.site.str())
                               : row.site.str());
    for (const auto& column : matrix.rows) {
      line.push_back(show(cell(matrix, row, column.site)));
    }
    line.push_back(show(together(matrix, row)));
  }
  if (!is_numbered) {
    auto& last = grid.rows.emplace_back();
    last.emplace_back("examples");
    std::uint64_t all = 0;
    for (const auto& column : matrix.rows) {
      const auto examples = examples_at(matrix, column.site);
      all += examples.value_or(0);
      last.push_back(examples ? with_commas(*examples) : kNoCell);
    }
    last.push_back(with_commas(all));
  }
  return grid;
}

std::string table(const Matrix& matrix, std::optional<std::size_t> width) {
  const auto named = grid_of(matrix, false);
  const auto columns = named.rows.front().size();
  if (named.block_end(1, width) == columns) {
    return named.text(1, columns);
  }
  const auto numbered = grid_of(matrix, true);
  std::string text;
  for (std::size_t begin = 1; begin < columns;) {
    const auto end = numbered.block_end(begin, width);
    text += (text.empty() ? "" : "\n") + numbered.text(begin, end);
    begin = end;
  }
  return text;
}

bool has_empty_cells(const Matrix& matrix) {
  return std::any_of(matrix.rows.begin(), matrix.rows.end(), [&](const MatrixRow& row) {
    return std::any_of(matrix.rows.begin(), matrix.rows.end(),
                       [&](const MatrixRow& column) { return !cell(matrix, row, column.site); });
  });
}

nlohmann::json number_or_null(std::optional<double> value) {
  return value ? nlohmann::json(*value) : nlohmann::json(nullptr);
}

nlohmann::json model_json(const MatrixRow& row) {
  nlohmann::json json{{"site", row.site.str()}, {"version", nullptr}};
  if (!row.model) {
    return json;
  }
  const auto& model = *row.model;
  json["version"] = model.round;
  json["model"] = model.model ? nlohmann::json(model.model->hex()) : nlohmann::json(nullptr);
  json["train_metrics"] = model.train_metrics;
  json["evaluate_metrics"] = model.evaluate_metrics;
  json["evaluation_examples"] = model.evaluation_examples;
  json["at_sites"] = nlohmann::json::object();
  for (const auto& [site, evaluation] : model.at_sites) {
    json["at_sites"][site.str()] = {{"metrics", evaluation.metrics},
                                    {"examples", evaluation.examples}};
  }
  return json;
}

}  // namespace

Expected<Matrix> matrix_of(const JobView& job, const std::string& metric) {
  const auto id = job.summary.id.str();
  if (job.summary.kind != JobKind::cross_evaluate) {
    return refuse("matrix_unknown",
                  fmt::format("{} is a job of the kind \"{}\", which has no matrix", id,
                              to_string(job.summary.kind)),
                  fmt::format("see what it found with: entente job show {}", id), Scope::job);
  }
  std::set<SiteId> sites;
  std::set<std::string> metrics;
  for (const auto& round : job.rounds) {
    if (const auto site = SiteId::parse(round.model_of)) {
      sites.insert(*site);
    }
    for (const auto& [site, evaluation] : round.at_sites) {
      sites.insert(site);
      for (const auto& [name, value] : evaluation.metrics) {
        metrics.insert(name);
      }
    }
  }
  if (metrics.empty()) {
    return refuse("matrix_unknown", fmt::format("{} has no cell of its matrix yet", id),
                  is_terminal(job.summary.state)
                      ? fmt::format("it has {}; see why with: entente job logs {}",
                                    to_string(job.summary.state), id)
                      : fmt::format("follow it with: entente job watch {}", id),
                  Scope::job);
  }
  Matrix matrix;
  matrix.metrics.assign(metrics.begin(), metrics.end());
  matrix.metric = !metric.empty()                ? metric
                  : metrics.contains("accuracy") ? "accuracy"
                  : metrics.contains("loss")     ? "loss"
                                                 : matrix.metrics.front();
  if (!metrics.contains(matrix.metric)) {
    return refuse("metric_unknown",
                  fmt::format("no cell of {} has a metric {}{}", id, quote(metric),
                              suggestion(metric, matrix.metrics)),
                  "leave --metric out for the usual one", Scope::job);
  }
  for (const auto& site : sites) {
    MatrixRow row{site, std::nullopt};
    const auto found =
        std::find_if(job.rounds.begin(), job.rounds.end(),
                     [&site](const RoundView& round) { return round.model_of == site.str(); });
    if (found != job.rounds.end()) {
      row.model = *found;
    }
    matrix.rows.push_back(std::move(row));
  }
  return matrix;
}

std::string matrix_text(const JobView& job, const Matrix& matrix,
                        std::optional<std::size_t> width) {
  const auto id = job.summary.id.str();
  auto text = fmt::format("{}: {} of each site's model (rows) on each site's data (columns)\n\n",
                          id, matrix.metric);
  text += table(matrix, width);
  if (!is_terminal(job.summary.state)) {
    text += fmt::format("\n{} of {} rounds are done; follow it with: entente job watch {}\n",
                        job.summary.round, job.summary.rounds, id);
  } else if (has_empty_cells(matrix)) {
    text += fmt::format("\nWhy a cell is empty is in: entente job logs {}\n", id);
  }
  return text;
}

nlohmann::json matrix_json(const JobView& job, const Matrix& matrix) {
  auto sites = nlohmann::json::array();
  auto cells = nlohmann::json::array();
  auto all = nlohmann::json::array();
  auto models = nlohmann::json::array();
  for (const auto& row : matrix.rows) {
    sites.push_back(row.site.str());
    auto line = nlohmann::json::array();
    for (const auto& column : matrix.rows) {
      line.push_back(number_or_null(cell(matrix, row, column.site)));
    }
    cells.push_back(std::move(line));
    all.push_back(number_or_null(together(matrix, row)));
    models.push_back(model_json(row));
  }
  return {{"job", job.summary.id.str()},
          {"state", to_string(job.summary.state)},
          {"dataset", job.spec.evaluate ? job.spec.evaluate->dataset : ""},
          {"metric", matrix.metric},
          {"metrics", matrix.metrics},
          {"sites", std::move(sites)},
          {"matrix", std::move(cells)},
          {"all", std::move(all)},
          {"models", std::move(models)}};
}

std::optional<std::size_t> terminal_width() {
  winsize size{};
  const bool is_known = ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  return is_known ? std::optional<std::size_t>(size.ws_col) : std::nullopt;
}

}  // namespace entente::cli
