#include "common/domain/statistics_spec.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "common/base/limits.h"
#include "common/base/quote.h"

namespace entente {
namespace {

constexpr std::string_view kPrefix = "stats:";

tl::unexpected<Refusal> invalid(std::string message, std::string hint) {
  return refuse("job_invalid", std::move(message), std::move(hint), Scope::job);
}

Expected<void> check_names(std::string_view key, const std::vector<std::string>& names) {
  if (names.size() > limits::kStatisticsColumnsMax) {
    return invalid(fmt::format("{} names {} columns, at most {} are possible", key, names.size(),
                               limits::kStatisticsColumnsMax),
                   "split them over several jobs");
  }
  std::set<std::string_view> seen;
  for (const auto& name : names) {
    if (!can_be_told(name)) {
      return invalid(
          fmt::format("{} names {}, which is empty, too long or no plain text", key, quote(name)),
          "names of columns have at most 100 bytes");
    }
    if (!seen.insert(name).second) {
      return invalid(fmt::format("{} names {} twice", key, quote(name)), "name it once");
    }
  }
  return {};
}

}  // namespace

std::optional<JobId> parse_statistics_job(std::string_view text) {
  return text.starts_with(kPrefix) ? JobId::parse(text.substr(kPrefix.size())) : std::nullopt;
}

std::string statistics_job_text(const JobId& job) {
  return fmt::format("{}{}", kPrefix, job.str());
}

std::vector<Scale> scales_of(const Statistics& statistics) {
  std::vector<Scale> scales;
  for (const auto& [name, column] : statistics.columns) {
    if (column.role == ColumnRole::number && column.count > 0) {
      const double deviation = column.deviation();
      scales.push_back({name, column.mean, deviation > 0 ? deviation : 1});
    }
  }
  return scales;
}

Expected<void> check_statistics_spec(const StatisticsSpec& spec) {
  if (auto sound = check_names("statistics.columns", spec.columns); !sound) {
    return sound;
  }
  if (spec.bins < 2 || spec.bins > limits::kStatisticsBinsMax) {
    return invalid(fmt::format("statistics.bins is {}, must be from 2 to {}", spec.bins,
                               limits::kStatisticsBinsMax),
                   "32 bins place a quantile within a thirtieth of the range");
  }
  if (spec.columns.size() > columns_max(spec.bins)) {
    return invalid(fmt::format("statistics asks for {} bins of {} columns, at most {} columns are "
                               "possible with so many",
                               spec.bins, spec.columns.size(), columns_max(spec.bins)),
                   "lower statistics.bins, or split the columns over several jobs");
  }
  if (spec.quantiles.size() > limits::kStatisticsQuantilesMax) {
    return invalid(fmt::format("statistics.quantiles has {} entries, at most {} are possible",
                               spec.quantiles.size(), limits::kStatisticsQuantilesMax),
                   "leave some out: entente job statistics --json has the whole histogram");
  }
  // Written so that a NaN fails.
  const auto is_share = [](double share) { return share > 0 && share < 1; };
  if (!std::all_of(spec.quantiles.begin(), spec.quantiles.end(), is_share)) {
    return invalid("statistics.quantiles has a number that is not between 0 and 1",
                   "write 0.5 for the median");
  }
  return {};
}

Expected<void> check_normalisation(const Normalisation& normalisation) {
  std::vector<std::string> names;
  for (const auto& scale : normalisation.columns) {
    names.push_back(scale.column);
  }
  if (auto sound = check_names("train.normalise", names); !sound) {
    return sound;
  }
  constexpr double kValueMax = std::numeric_limits<float>::max();
  for (const auto& scale : normalisation.columns) {
    // Written so that a NaN fails.
    if (!(std::abs(scale.mean) <= kValueMax && scale.deviation > 0 &&
          scale.deviation <= kValueMax)) {
      return invalid(fmt::format("train.normalise gives {} the mean {} and the deviation {}",
                                 quote(scale.column), scale.mean, scale.deviation),
                     "a mean is a number that fits in 32 bits, a deviation is above 0");
    }
  }
  return {};
}

}  // namespace entente
