#include "common/domain/cross_evaluation.h"

#include <fmt/format.h>

namespace entente {
namespace {

Expected<void> invalid(std::string message, std::string hint) {
  return refuse("job_invalid", std::move(message), std::move(hint), Scope::job);
}

std::string of_the_kind() {
  return fmt::format("a job of the kind \"{}\"", to_string(JobKind::cross_evaluate));
}

// What keeps a part of a site's model at the site; nothing when all of it is sent.
std::string_view key_that_keeps(const TrainSpec& train) {
  return !train.exclude.empty()           ? "train.exclude"
         : !train.private_tensors.empty() ? "train.private"
         : train.personal                 ? "train.personal"
                                          : "";
}

}  // namespace

Expected<void> check_cross_evaluation(const JobSpec& spec) {
  if (spec.kind != JobKind::cross_evaluate) {
    return {};
  }
  const bool is_wide = spec.sites.max < 1 || spec.sites.max > kCrossSitesMax;
  if (is_wide || spec.sites.min > kCrossSitesMax) {
    return invalid(
        fmt::format("sites.{} is {}; {} has from 1 to {} sites, since each one's model is judged "
                    "at every one of them",
                    is_wide ? "max" : "min", is_wide ? spec.sites.max : spec.sites.min,
                    of_the_kind(), kCrossSitesMax),
        fmt::format("lower it to {}, and choose the sites with sites.require or sites.exclude",
                    kCrossSitesMax));
  }
  if (const auto key = key_that_keeps(spec.train); !key.empty()) {
    return invalid(fmt::format("{} keeps a part of the model at its site, and {} judges each "
                               "site's whole model at the others",
                               key, of_the_kind()),
                   fmt::format("leave {} out", key));
  }
  if (spec.update.encoding == "topk") {
    return invalid(fmt::format("update.encoding \"topk\" leaves most of a model to later rounds, "
                               "and {} trains in one",
                               of_the_kind()),
                   "choose another encoding, or leave update.encoding out");
  }
  if (spec.train.balanced) {
    return invalid(fmt::format("train.local_steps \"balanced\" goes by the speeds of earlier "
                               "rounds, and {} trains in one",
                               of_the_kind()),
                   "leave train.local_steps out, and say train.local_epochs");
  }
  if (spec.evaluate->every != 1) {
    return invalid(
        fmt::format("evaluate.every has no effect: {} judges every model", of_the_kind()),
        "leave evaluate.every out");
  }
  return {};
}

}  // namespace entente
