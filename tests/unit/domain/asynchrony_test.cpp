#include "common/domain/asynchrony.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <limits>

namespace entente {
namespace {

using testing::HasSubstr;

JobSpec async_job() {
  JobSpec spec;
  spec.name = "lung";
  spec.deadline = std::chrono::hours{1};
  spec.stall_window = std::chrono::minutes{5};
  spec.sites.min = 4;
  spec.model.input = {4};
  spec.model.layers = {{"linear", "fc", {{"out_features", std::int64_t{3}}}}};
  spec.train.dataset = "nodules";
  spec.async = AsyncSpec{.buffer = 2};
  return spec;
}

TEST(Asynchrony, AnUpdateCountsTheLessTheOlderItsModelIs) {
  const AsyncSpec async{.buffer = 1, .staleness_exponent = 0.5};
  EXPECT_EQ(staleness_factor(async, 0), 1);
  EXPECT_DOUBLE_EQ(staleness_factor(async, 3), 0.5);
  EXPECT_EQ(staleness_factor({.buffer = 1, .staleness_exponent = 0}, 7), 1);
  EXPECT_GT(staleness_factor({.buffer = 1, .staleness_exponent = 10}, 100'000), 0);
}

TEST(Asynchrony, AJobNeedsItsQuorumInSitesAndOneUnlessItSaysSo) {
  auto spec = async_job();
  EXPECT_TRUE(validate(spec));
  EXPECT_EQ(cohort_of(spec), 1U);
  spec.sites.quorum = 2;
  EXPECT_TRUE(validate(spec));
  EXPECT_EQ(cohort_of(spec), 2U);
  for (const auto* kind : {"fedavgm", "fedadagrad", "fedadam", "fedyogi"}) {
    spec.strategy.kind = kind;
    EXPECT_TRUE(validate(spec)) << kind;
  }
}

TEST(Asynchrony, WhatDoesNotGoWithItIsRefusedWithTheReason) {
  const auto refused = [](const std::function<void(JobSpec&)>& change, const std::string& message) {
    auto spec = async_job();
    change(spec);
    const auto model = validate(spec);
    ASSERT_FALSE(model) << message;
    EXPECT_EQ(model.error().code, "job_invalid");
    EXPECT_THAT(model.error().message, HasSubstr(message));
    EXPECT_FALSE(model.error().hint.empty());
  };
  refused([](auto& spec) { spec.async->buffer = 0; }, "async.buffer is 0, must be from 1");
  refused([](auto& spec) { spec.async->staleness_exponent = -1; },
          "async.staleness_exponent is -1, must be from 0 to 10");
  refused(
      [](auto& spec) { spec.async->staleness_exponent = std::numeric_limits<double>::quiet_NaN(); },
      "async.staleness_exponent is nan");
  refused([](auto& spec) { spec.sites.quorum = 3; },
          "sites.quorum is 3, more than the 2 updates of async.buffer");
  refused(
      [](auto& spec) {
        spec.sites.sample = SampleSpec{SampleBy::uniform, 2, 0, 1, 0};
      },
      "sites.sample draws the sites of a round");
  for (const auto* kind : {"fednova", "scaffold", "qfedavg", "median", "geometric_median"}) {
    refused([kind](auto& spec) { spec.strategy.kind = kind; },
            std::string("strategy.kind is \"") + kind + "\", which has no sense for updates");
  }
  refused(
      [](auto& spec) {
        spec.strategy.parameters["weight_cap"] = 0.5;
        spec.sites.quorum = 2;
      },
      "strategy.weight_cap bounds what one update counts for");
  refused([](auto& spec) { spec.train.balanced = true; }, "so that sites end together");
  refused([](auto& spec) { spec.update.encoding = "topk"; }, "update.encoding = \"topk\" has each");
  refused([](auto& spec) { spec.train.exclude = {"fc.bias"}; }, "train.exclude has each site keep");
  refused([](auto& spec) { spec.train.private_tensors = {"fc.bias"}; }, "train.private has each");
  refused([](auto& spec) { spec.train.personal = PersonalSpec(); }, "train.personal has each");
  refused([](auto& spec) { spec.kind = JobKind::cyclic; }, "has no [async]");
}

}  // namespace
}  // namespace entente
