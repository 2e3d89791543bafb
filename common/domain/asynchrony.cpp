#include "common/domain/asynchrony.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>

#include "common/base/limits.h"
#include "common/base/quote.h"
#include "common/domain/strategy_kinds.h"
#include "common/domain/update_encodings.h"

namespace entente {
namespace {

// Beyond it an update that is one version late would count for less than a thousandth.
constexpr double kExponentMax = 10;

// Means of the updates, which a late one may enter with less than its weight. The robust rules
// compare updates of one version with each other, and others count on one update of each site.
constexpr std::array<std::string_view, 5> kStrategies{"fedavg", "fedavgm", "fedadagrad", "fedadam",
                                                      "fedyogi"};

Expected<void> invalid(std::string message, std::string hint) {
  return refuse("job_invalid", std::move(message), std::move(hint), Scope::job);
}

Expected<void> check_numbers(const AsyncSpec& async) {
  if (async.buffer < 1 || async.buffer > limits::kSitesPerJobMax) {
    return invalid(fmt::format("async.buffer is {}, must be from 1 to {}", async.buffer,
                               limits::kSitesPerJobMax),
                   "set it to the updates that one version of the model is made from");
  }
  // Written so that a NaN fails.
  if (!(async.staleness_exponent >= 0 && async.staleness_exponent <= kExponentMax)) {
    return invalid(fmt::format("async.staleness_exponent is {}, must be from 0 to {}",
                               async.staleness_exponent, kExponentMax),
                   "0.5 is the default; with 0 a late update counts like any other");
  }
  if (async.staleness_max > limits::kRoundsMax) {
    return invalid(fmt::format("async.staleness_max is {}, must be from 0 to {}",
                               async.staleness_max, limits::kRoundsMax),
                   "10 is the default");
  }
  if (async.concurrency > limits::kSitesPerJobMax) {
    return invalid(fmt::format("async.concurrency is {}, must be from 0 to {}", async.concurrency,
                               limits::kSitesPerJobMax),
                   "leave it out to have all sites train");
  }
  return {};
}

Expected<void> check_sites(const SiteSelection& sites, const AsyncSpec& async) {
  if (sites.sample) {
    return invalid(
        "sites.sample draws the sites of a round, and asynchronous training has none that "
        "begin together",
        "leave it out; async.concurrency says how many sites train at once");
  }
  if (sites.quorum > async.buffer) {
    return invalid(fmt::format("sites.quorum is {}, more than the {} updates of async.buffer: they "
                               "could not come from so many sites",
                               sites.quorum, async.buffer),
                   fmt::format("raise async.buffer to {}, or lower sites.quorum", sites.quorum));
  }
  return {};
}

// A site may have several updates in one version, and what it keeps is settled version by version.
Expected<void> check_site_state(const JobSpec& spec) {
  const auto& train = spec.train;
  const std::string_view kept = encoding_of(spec.update) == Encoding::topk
                                    ? "update.encoding = \"topk\""
                                : !train.exclude.empty()         ? "train.exclude"
                                : !train.private_tensors.empty() ? "train.private"
                                : train.personal                 ? "train.personal"
                                                                 : "";
  if (kept.empty()) {
    return {};
  }
  return invalid(
      fmt::format("{} has each site keep something from one round for the next, and with [async] "
                  "a site may train more than once in a round",
                  kept),
      "leave it out, or take out [async]");
}

}  // namespace

double staleness_factor(const AsyncSpec& async, Round staleness) {
  return std::pow(1.0 + static_cast<double>(staleness), -async.staleness_exponent);
}

Expected<void> check_asynchrony(const JobSpec& spec) {
  if (!spec.async) {
    return {};
  }
  if (auto sound = check_numbers(*spec.async); !sound) {
    return sound;
  }
  if (auto sound = check_sites(spec.sites, *spec.async); !sound) {
    return sound;
  }
  const auto& strategy = spec.strategy;
  if (std::find(kStrategies.begin(), kStrategies.end(), strategy.kind) == kStrategies.end()) {
    return invalid(
        fmt::format("strategy.kind is {}, which has no sense for updates that were trained from "
                    "different versions of the model, as they are with [async]",
                    quote(strategy.kind)),
        fmt::format("choose one of {}", fmt::join(kStrategies, ", ")));
  }
  if (strategy_parameter(strategy, kWeightCap) > 0) {
    return invalid(
        "strategy.weight_cap bounds what one update counts for, and with [async] a site may have "
        "several in a version",
        "leave it out; sites.quorum says how many sites a version needs");
  }
  if (spec.train.balanced) {
    return invalid(
        "train.local_steps is \"balanced\", so that sites end together; with [async] none waits "
        "for another",
        "leave it out, or take out [async]");
  }
  return check_site_state(spec);
}

}  // namespace entente
