#include "common/runtime/system_clock.h"

#include <gtest/gtest.h>

namespace entente {
namespace {

TEST(FormatUtc, WritesSecondsOfUtc) {
  EXPECT_EQ(format_utc(0), "1970-01-01T00:00:00Z");
  EXPECT_EQ(format_utc(1'769'860'800'999), "2026-01-31T12:00:00Z");
  EXPECT_EQ(format_utc(-1), "1969-12-31T23:59:59Z");
}

TEST(SystemNow, NeverGoesBack) {
  const Now first = system_now();
  const Now second = system_now();
  EXPECT_GE(second.monotonic, first.monotonic);
  EXPECT_GT(first.unix_ms, 1'700'000'000'000);
}

}  // namespace
}  // namespace entente
