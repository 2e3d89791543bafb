#include "common/domain/stop_spec.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "common/base/limits.h"
#include "common/base/quote.h"
#include "common/domain/enum_names.h"

namespace entente {
namespace {

constexpr std::array kKeepNames{
    EnumName{Keep::all, "all"},
    EnumName{Keep::best_and_last, "best+last"},
};
static_assert(in_order(kKeepNames));

// Metrics of which less is better, also as the last part of a longer name: "val_loss".
constexpr std::array<std::string_view, 6> kErrors{"loss", "error", "mse",
                                                  "rmse", "mae",   "perplexity"};

constexpr std::size_t kMetricBytesMax = 64;

tl::unexpected<Refusal> invalid(std::string message, std::string hint) {
  return refuse("job_invalid", std::move(message), std::move(hint), Scope::job);
}

}  // namespace

std::string_view to_string(Keep keep) { return name_of(kKeepNames, keep); }

bool is_error(std::string_view metric) {
  const auto last = metric.substr(metric.rfind('_') + 1);
  return std::find(kErrors.begin(), kErrors.end(), last) != kErrors.end();
}

std::optional<double> score(const std::optional<StopSpec>& stop, const Metrics& metrics) {
  const auto score_by = [&metrics](const std::string& metric) -> std::optional<double> {
    const auto found = metrics.find(metric);
    if (found == metrics.end()) {
      return std::nullopt;
    }
    return is_error(metric) ? -found->second : found->second;
  };
  if (stop) {
    return score_by(stop->metric);
  }
  const auto accuracy = score_by("accuracy");
  return accuracy ? accuracy : score_by("loss");
}

Expected<void> check_stop(const StopSpec& stop) {
  if (stop.metric.empty() || stop.metric.size() > kMetricBytesMax) {
    return invalid(fmt::format("stop.metric is {}, must have 1 to {} bytes", quote(stop.metric),
                               kMetricBytesMax),
                   "set it to a metric of the evaluations, for example \"accuracy\"");
  }
  if (stop.patience < 1 || stop.patience > limits::kRoundsMax) {
    return invalid(
        fmt::format("stop.patience is {}, must be from 1 to {}", stop.patience, limits::kRoundsMax),
        "3 stops after three evaluations in a row without an improvement");
  }
  if (!(stop.min_delta >= 0 && std::isfinite(stop.min_delta))) {
    return invalid(
        fmt::format("stop.min_delta is {}, must be a number of at least 0", stop.min_delta),
        "0.001 takes no smaller improvement for one");
  }
  return {};
}

}  // namespace entente
