#include "common/domain/sample_spec.h"

#include <gtest/gtest.h>

namespace entente {
namespace {

SampleSpec fraction(double of, double over = 1, std::uint32_t separation = 0) {
  return {SampleBy::uniform, 0, of, over, separation};
}

// McMahan et al. 2017, algorithm 1 and section 3: C = 0.1 of K = 100 clients; C = 0 is one client.
TEST(SampleSpec, AFractionIsOfThePlacesAndNeverNobody) {
  EXPECT_TRUE(check_sample(fraction(0.1), 100));
  EXPECT_EQ(updates_wanted(fraction(0.1), 100), 10U);
  EXPECT_EQ(updates_wanted(fraction(1e-9), 100), 1U);
  EXPECT_EQ(updates_wanted(fraction(1), 100), 100U);
}

TEST(SampleSpec, ADecimalThatBinaryCannotHoldMeansTheDecimal) {
  EXPECT_EQ(updates_wanted(fraction(0.07), 100), 7U);
  EXPECT_EQ(sites_asked(fraction(0.1, 1.1), 100), 11U);
  EXPECT_EQ(sites_asked(fraction(0.1, 1.3), 100), 13U);
  EXPECT_EQ(sites_asked(fraction(0.03, 1.3), 100), 4U) << "a part of a site is a site";
}

TEST(SampleSpec, RoundingNeverTakesMoreThanCanHaveRested) {
  for (std::uint32_t separation = 0; separation < 5; ++separation) {
    for (std::uint32_t places = separation + 1; places < 200; ++places) {
      const auto wanted = updates_wanted(fraction(1.0 / (separation + 1), 1, separation), places);
      EXPECT_LE(wanted * (separation + 1), places) << places;
    }
  }
}

}  // namespace
}  // namespace entente
