#include "common/domain/sample_spec.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "common/base/limits.h"
#include "common/domain/enum_names.h"

namespace entente {
namespace {

constexpr std::array kSampleByNames{
    EnumName{SampleBy::uniform, "uniform"},
    EnumName{SampleBy::samples, "samples"},
    EnumName{SampleBy::preference, "preference"},
};
static_assert(in_order(kSampleByNames));

// 1.1 times 10 is a little more than 11 in binary, and still asks 11 sites.
constexpr double kRoundingSlack = 1e-9;

// As asked for, whatever there is.
std::uint64_t nominal(const SampleSpec& sample, std::size_t places) {
  if (sample.count != 0) {
    return sample.count;
  }
  const double share = sample.fraction * static_cast<double>(places);
  return std::max<std::uint64_t>(1, static_cast<std::uint64_t>(std::floor(share + 0.5)));
}

tl::unexpected<Refusal> invalid(std::string message, std::string hint) {
  return refuse("job_invalid", std::move(message), std::move(hint), Scope::job);
}

}  // namespace

std::string_view to_string(SampleBy by) { return name_of(kSampleByNames, by); }

std::uint32_t updates_wanted(const SampleSpec& sample, std::size_t places) {
  // With so many in each round there is always somebody who has rested.
  const auto rested = places / (std::uint64_t{sample.separation} + 1);
  return static_cast<std::uint32_t>(
      std::max<std::uint64_t>(1, std::min<std::uint64_t>(nominal(sample, places), rested)));
}

std::uint32_t sites_asked(const SampleSpec& sample, std::size_t places) {
  const double asked = sample.over * updates_wanted(sample, places);
  return static_cast<std::uint32_t>(
      std::clamp<double>(std::ceil(asked - kRoundingSlack), 1, limits::kSitesPerJobMax));
}

Expected<void> check_sample(const SampleSpec& sample, std::uint32_t min) {
  if ((sample.count == 0) == (sample.fraction == 0)) {
    return invalid(sample.count == 0 ? "sites.sample says neither count nor fraction"
                                     : "sites.sample says both count and fraction",
                   "set one of the two: count = 3, or fraction = 0.1");
  }
  // Written so that a NaN fails.
  if (sample.count == 0 && !(sample.fraction > 0 && sample.fraction <= 1)) {
    return invalid(
        fmt::format("sites.sample.fraction is {}, must be above 0 and at most 1", sample.fraction),
        "0.1 trains at a tenth of the job's sites in each round");
  }
  if (!(sample.over >= 1 && sample.over <= limits::kOverSelectionMax)) {
    return invalid(fmt::format("sites.sample.over is {}, must be from 1 to {}", sample.over,
                               limits::kOverSelectionMax),
                   "1.3 asks 13 sites where 10 updates are taken");
  }
  if (sample.count > min) {
    return invalid(fmt::format("sites.sample.count is {}, more than sites.min, {}: the job may "
                               "start with no more sites than that",
                               sample.count, min),
                   fmt::format("raise sites.min to {}, or lower sites.sample.count", sample.count));
  }
  const auto wanted = nominal(sample, min);
  const auto needed = wanted * (std::uint64_t{sample.separation} + 1);
  if (needed > min) {
    return invalid(fmt::format("sites.sample takes {} update{} in a round and lets a site rest for "
                               "{} round{}: that needs {} sites, and the job may start with {}",
                               wanted, wanted == 1 ? "" : "s", sample.separation,
                               sample.separation == 1 ? "" : "s", needed, min),
                   fmt::format("raise sites.min to {}, or lower sites.sample.separation", needed));
  }
  return {};
}

}  // namespace entente
