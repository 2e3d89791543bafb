// The largest matrix of models and sites is one message (cross_evaluation.h).
#include <gtest/gtest.h>

#include "common/base/limits.h"
#include "common/domain/cross_evaluation.h"
#include "common/wire/control_codec.h"

namespace entente::wire {
namespace {

std::string long_name(std::uint32_t number) {
  const auto digits = std::to_string(100 + number);
  return std::string(kCellMetricNameBytesMax - digits.size(), 'n') + digits;
}

Metrics long_metrics(std::size_t count) {
  Metrics metrics;
  for (std::uint32_t i = 0; i < count; ++i) {
    metrics[long_name(i)] = 0.123456789 + i;
  }
  return metrics;
}

TEST(MatrixSize, TheLargestMatrixFitsIntoAControlMessage) {
  JobView job;
  job.summary.kind = JobKind::cross_evaluate;
  job.spec.kind = JobKind::cross_evaluate;
  for (std::uint32_t model = 0; model <= kCrossSitesMax + 1; ++model) {
    RoundView round{model, RoundState::done};
    round.train_metrics = long_metrics(kCellMetricsMax);
    round.evaluate_metrics = long_metrics(kCellMetricsMax);
    round.model_of = long_name(model);
    for (std::uint32_t site = 0; site < kCrossSitesMax; ++site) {
      round.at_sites[*SiteId::parse(long_name(site))] = {long_metrics(kCellMetricsMax),
                                                         limits::kExamplesMax};
    }
    job.rounds.push_back(std::move(round));
  }
  for (std::uint32_t site = 0; site < kCrossSitesMax; ++site) {
    JobSiteView view;
    view.site = *SiteId::parse(long_name(site));
    view.reason = std::string(limits::kPeerTextBytesMax, 'r');
    view.evaluate_metrics = long_metrics(kCellMetricsMax);
    job.sites.push_back(std::move(view));
  }
  EXPECT_LT(encode(msg::Reply{1, std::move(job)}).size(), limits::kControlMessageBytesMax);
}

}  // namespace
}  // namespace entente::wire
