#include "coordinator/statistics_command.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "common/base/figures.h"
#include "common/base/quote.h"
#include "coordinator/text.h"

namespace entente::cli {
namespace {

// Categories that a row of the table names.
constexpr std::size_t kCellsShown = 5;

// Of a job that check_counted has found readable.
Statistics statistics_of(const JobView& job) { return statistics_from(job.statistics).value(); }

std::string number(double value) { return fmt::format("{:.6g}", value); }

// Where bins are withheld, what is known for certain: their rows are missing from the estimate.
std::string quantile_text(const Statistics& statistics, const std::string& name, double share) {
  const auto found = quantile(statistics, name, share);
  if (!found) {
    return "";
  }
  const auto histogram = statistics.histograms.find(name);
  const bool is_whole =
      histogram == statistics.histograms.end() || histogram->second.rows_withheld == 0;
  return is_whole ? number(found->value)
                  : fmt::format("{} to {}", number(found->at_least), number(found->at_most));
}

using Cell = std::pair<std::string, std::uint64_t>;

// The most frequent first.
std::vector<Cell> by_rows(const Column& column) {
  std::vector<Cell> cells(column.cells.begin(), column.cells.end());
  std::stable_sort(cells.begin(), cells.end(),
                   [](const Cell& a, const Cell& b) { return a.second > b.second; });
  return cells;
}

std::string top_cells(const Column& column) {
  std::vector<std::string> parts;
  const auto cells = by_rows(column);
  for (std::size_t i = 0; i < cells.size() && i < kCellsShown; ++i) {
    parts.push_back(fmt::format("{} {}", cells[i].first, with_commas(cells[i].second)));
  }
  if (cells.size() > kCellsShown) {
    parts.push_back(fmt::format("{} more", cells.size() - kCellsShown));
  }
  return fmt::format("{}", fmt::join(parts, ", "));
}

// What the table does not show of a column, and why; nothing when it is all there.
std::string reservations(const Statistics& statistics, const std::string& name,
                         const Column& column) {
  std::vector<std::string> parts;
  if (column.withheld > 0) {
    parts.push_back(fmt::format("withheld at {}", counted(column.withheld, "site")));
  }
  if (column.unlike > 0) {
    parts.push_back(fmt::format("of another kind at {}", counted(column.unlike, "site")));
  }
  if (column.cells_withheld > 0) {
    parts.push_back(fmt::format("small cells withheld{}",
                                column.rows_withheld == 0
                                    ? ""
                                    : fmt::format(" ({})", counted(column.rows_withheld, "row"))));
  }
  const auto histogram = statistics.histograms.find(name);
  if (histogram != statistics.histograms.end() && histogram->second.rows_withheld > 0) {
    parts.push_back(
        fmt::format("small bins withheld ({})", counted(histogram->second.rows_withheld, "row")));
  }
  return fmt::format("{}", fmt::join(parts, ", "));
}

std::vector<std::string> row_of(const Statistics& statistics, const std::string& name,
                                const Column& column, const std::vector<double>& shares) {
  std::vector<std::string> row{name, std::string(to_string(column.role)),
                               std::to_string(column.sites), with_commas(column.count),
                               with_commas(column.missing)};
  const bool has_numbers = is_number(column.role) && column.count > 0;
  row.push_back(has_numbers ? number(column.mean) : "");
  row.push_back(has_numbers ? number(column.deviation()) : "");
  row.push_back(has_numbers ? number(column.low) : "");
  for (const double share : shares) {
    row.push_back(quantile_text(statistics, name, share));
  }
  row.push_back(has_numbers ? number(column.high) : "");
  row.push_back(top_cells(column));
  row.push_back(reservations(statistics, name, column));
  return row;
}

nlohmann::json quantiles_json(const Statistics& statistics, const std::string& name,
                              const std::vector<double>& shares) {
  auto list = nlohmann::json::array();
  for (const double share : shares) {
    if (const auto found = quantile(statistics, name, share)) {
      list.push_back({{"share", share},
                      {"value", found->value},
                      {"at_least", found->at_least},
                      {"at_most", found->at_most}});
    }
  }
  return list;
}

nlohmann::json column_json(const Statistics& statistics, const std::string& name,
                           const Column& column, const std::vector<double>& shares) {
  nlohmann::json json{{"role", to_string(column.role)},
                      {"sites", column.sites},
                      {"sites_withheld", column.withheld},
                      {"sites_unlike", column.unlike},
                      {"count", column.count},
                      {"missing", column.missing}};
  if (!is_number(column.role)) {
    json["cells"] = column.cells;
    json["cells_withheld"] = column.cells_withheld;
    json["rows_withheld"] = column.rows_withheld;
    return json;
  }
  if (column.count == 0) {
    return json;
  }
  json["mean"] = column.mean;
  json["variance"] = column.squares / static_cast<double>(column.count);
  json["deviation"] = column.deviation();
  json["low"] = column.low;
  json["high"] = column.high;
  json["quantiles"] = quantiles_json(statistics, name, shares);
  if (const auto found = statistics.histograms.find(name); found != statistics.histograms.end()) {
    json["histogram"] = {{"bins", found->second.bins},
                         {"cells_withheld", found->second.cells_withheld},
                         {"rows_withheld", found->second.rows_withheld}};
  }
  return json;
}

std::vector<double> shares_of(const JobView& job) {
  return job.spec.statistics ? job.spec.statistics->quantiles : std::vector<double>();
}

tl::unexpected<Refusal> invalid(std::string message, std::string hint) {
  return refuse("normalise_invalid", std::move(message), std::move(hint), Scope::job);
}

}  // namespace

Expected<void> check_counted(const JobView& job) {
  const auto statistics = statistics_from(job.statistics);
  return statistics ? Expected<void>() : tl::unexpected(statistics.error());
}

void print_statistics(const JobView& job) {
  const auto statistics = statistics_of(job);
  const auto id = job.summary.id.str();
  if (statistics.columns.empty()) {
    fmt::print("{}\n", job.spec.statistics
                           ? fmt::format("{} has counted nothing yet; follow it with: entente job "
                                         "watch {}",
                                         id, id)
                           : fmt::format("{} is a job of the kind \"{}\", which counts nothing", id,
                                         to_string(job.summary.kind)));
    return;
  }
  const auto shares = shares_of(job);
  std::vector<std::string> header{"COLUMN",  "ROLE", "SITES",     "VALUES",
                                  "MISSING", "MEAN", "DEVIATION", "LOW"};
  for (const double share : shares) {
    header.push_back(fmt::format("{:g} %", share * 100));
  }
  header.insert(header.end(), {"HIGH", "MOST FREQUENT", "NOTE"});
  std::vector<std::vector<std::string>> rows{header};
  for (const auto& [name, column] : statistics.columns) {
    rows.push_back(row_of(statistics, name, column, shares));
  }
  print_table(rows);
  fmt::print(
      "\nLow and high leave out each site's outermost values, and quantiles lie within a bin: "
      "docs/job-file.md\n");
}

nlohmann::json statistics_json(const JobView& job) {
  const auto statistics = statistics_of(job);
  auto columns = nlohmann::json::object();
  for (const auto& [name, column] : statistics.columns) {
    columns[name] = column_json(statistics, name, column, shares_of(job));
  }
  return {{"job", job.summary.id.str()},
          {"state", to_string(job.summary.state)},
          {"dataset", job.spec.train.dataset},
          {"columns", std::move(columns)}};
}

Expected<std::vector<Scale>> scales_from(const JobView& job, const JobSpec& named_by) {
  const auto id = job.summary.id.str();
  const auto& dataset = named_by.train.dataset;
  const std::string key = trains(named_by.kind) ? "train.normalise" : "evaluate.normalise";
  if (!job.spec.statistics) {
    return invalid(fmt::format("{} names {}, which is a job of the kind \"{}\"", key, id,
                               to_string(job.summary.kind)),
                   "name a job of the kind \"statistics\": entente job list");
  }
  if (job.summary.state != JobState::completed) {
    return invalid(fmt::format("{} names {}, which is {}", key, id, to_string(job.summary.state)),
                   is_terminal(job.summary.state)
                       ? fmt::format("submit it again with: entente job clone {}", id)
                       : fmt::format("submit when it has completed: entente job watch {}", id));
  }
  // What only judges names another dataset than the model was trained on, and the same numbers.
  if (trains(named_by.kind) && job.spec.train.dataset != dataset) {
    return invalid(fmt::format("train.normalise names {}, which counts the dataset {}, and the job "
                               "trains on {}",
                               id, quote(job.spec.train.dataset), quote(dataset)),
                   "count the dataset that is trained on");
  }
  if (auto counted = check_counted(job); !counted) {
    return tl::unexpected(std::move(counted.error()));
  }
  const auto statistics = statistics_of(job);
  for (const auto& [name, column] : statistics.columns) {
    if (column.role == ColumnRole::number && column.count == 0) {
      return invalid(fmt::format("{} has no numbers of the column {}: every site withholds it", id,
                                 quote(name)),
                     "leave the column out of the datasets, or give the numbers in "
                     "[train.normalise] (docs/job-file.md)");
    }
  }
  auto scales = scales_of(statistics);
  if (scales.empty()) {
    return invalid(fmt::format("{} has counted no number that models get", id),
                   fmt::format("take {} out", key));
  }
  return scales;
}

Expected<void> resolve_normalisation(BrokerClient& client, JobSpec& spec) {
  auto& normalise = spec.train.normalise;
  if (!normalise || normalise->is_resolved() || !normalise->from) {
    return {};
  }
  const auto job = client.ask<JobView>(msg::ShowJob{*normalise->from});
  if (!job) {
    return tl::unexpected(job.error());
  }
  auto scales = scales_from(*job, spec);
  if (!scales) {
    return tl::unexpected(scales.error());
  }
  normalise->columns = *std::move(scales);
  return {};
}

}  // namespace entente::cli
