#include "common/domain/stop_spec.h"

#include <gtest/gtest.h>

namespace entente {
namespace {

TEST(StopSpec, OfAnErrorLessIsBetterAndOfAnythingElseMore) {
  for (const auto* error : {"loss", "val_loss", "mse", "test_perplexity"}) {
    EXPECT_TRUE(is_error(error)) << error;
  }
  for (const auto* merit : {"accuracy", "f1", "lossless", "auc"}) {
    EXPECT_FALSE(is_error(merit)) << merit;
  }
}

TEST(StopSpec, ThePlainBestIsByAccuracyWhereThatWasMeasured) {
  EXPECT_EQ(score(std::nullopt, {{"accuracy", 0.9}, {"loss", 7}}), 0.9);
  EXPECT_EQ(score(std::nullopt, {{"loss", 7}}), -7);
  EXPECT_EQ(score(StopSpec{"loss", 3, 0}, {{"accuracy", 0.9}, {"loss", 7}}), -7);
  EXPECT_EQ(score(StopSpec{"f1", 3, 0}, {{"accuracy", 0.9}}), std::nullopt);
}

}  // namespace
}  // namespace entente
