#include "common/base/figures.h"

#include <gtest/gtest.h>

namespace entente {
namespace {

TEST(Figures, HaveCommasBetweenThousands) {
  EXPECT_EQ(with_commas(999), "999");
  EXPECT_EQ(with_commas(1'000), "1,000");
  EXPECT_EQ(with_commas(12'345'678), "12,345,678");
}

TEST(Figures, OfBytesAreInDecimalUnits) {
  EXPECT_EQ(human_bytes(999), "999 B");
  EXPECT_EQ(human_bytes(412'000), "412.0 KB");
  EXPECT_EQ(human_bytes(2'500'000'000), "2.5 GB");
}

TEST(Figures, CountOneThingInTheSingular) {
  EXPECT_EQ(counted(0, "task"), "0 tasks");
  EXPECT_EQ(counted(1, "task"), "1 task");
  EXPECT_EQ(counted(1'200, "round"), "1,200 rounds");
}

}  // namespace
}  // namespace entente
