// The conversions of half_floats.h, held against IEEE 754 written out plainly.
#include "common/tensors/half_floats.h"

#include <gtest/gtest.h>
#include <hwy/targets.h>

#include <bit>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

namespace entente {
namespace {

std::uint16_t f16_of(float value) {
  std::uint16_t bits = 0;
  to_f16({&value, 1}, {&bits, 1});
  return bits;
}

std::uint16_t bf16_of(float value) {
  std::uint16_t bits = 0;
  to_bf16({&value, 1}, {&bits, 1});
  return bits;
}

// Runs `body` with each instruction set that this machine has and that was compiled for.
template <class Body>
void on_every_instruction_set(Body body) {
  for (std::int64_t rest = hwy::SupportedTargets() & HWY_TARGETS; rest != 0; rest &= rest - 1) {
    const std::int64_t target = rest & -rest;
    hwy::SetSupportedTargetsForTest(target);
    SCOPED_TRACE(hwy::TargetName(target));
    body();
    hwy::SetSupportedTargetsForTest(0);
  }
}

std::vector<std::uint16_t> every_pattern() {
  std::vector<std::uint16_t> patterns(1U << 16U);
  std::iota(patterns.begin(), patterns.end(), std::uint16_t{0});
  return patterns;
}

// IEEE 754-2019, 3.4: sign, 5 bits of exponent with bias 15, 10 bits of fraction.
double meaning_of_f16(std::uint16_t bits) {
  const double sign = (bits & 0x8000U) != 0 ? -1 : 1;
  const int exponent = (bits >> 10U) & 0x1fU;
  const double fraction = (bits & 0x3ffU) / 1024.0;
  if (exponent == 0x1f) {
    return fraction == 0 ? sign * std::numeric_limits<double>::infinity()
                         : std::numeric_limits<double>::quiet_NaN();
  }
  return exponent == 0 ? sign * std::ldexp(fraction, -14)
                       : sign * std::ldexp(1 + fraction, exponent - 15);
}

// The table of "Half-precision floating-point format" in Wikipedia, "Half precision examples".
TEST(F16, HasThePublishedBits) {
  const std::vector<std::pair<std::uint16_t, float>> published{
      {0x0000, 0.0F},     {0x0001, 0x1p-24F},      {0x03ff, 0x1.ff8p-15F},
      {0x0400, 0x1p-14F}, {0x3555, 0x1.554p-2F},   {0x3bff, 0.99951171875F},
      {0x3c00, 1.0F},     {0x3c01, 1.0009765625F}, {0x7bff, 65504.0F},
      {0x8000, -0.0F},    {0xc000, -2.0F}};
  for (const auto& [bits, value] : published) {
    EXPECT_EQ(f16_of(value), bits) << value;
    float back = 0;
    from_f16({&bits, 1}, {&back, 1});
    EXPECT_EQ(std::bit_cast<std::uint32_t>(back), std::bit_cast<std::uint32_t>(value)) << bits;
  }
  EXPECT_EQ(f16_of(1.0F / 3), 0x3555);
}

TEST(F16, EveryPatternMeansWhatIeee754SaysAndComesBack) {
  on_every_instruction_set([] {
    const auto patterns = every_pattern();
    std::vector<float> values(patterns.size());
    from_f16(patterns, values);
    std::vector<std::uint16_t> back(patterns.size());
    to_f16(values, back);
    for (const auto bits : patterns) {
      const double meaning = meaning_of_f16(bits);
      if (std::isnan(meaning)) {
        EXPECT_TRUE(std::isnan(values[bits])) << bits;
        EXPECT_TRUE(std::isnan(meaning_of_f16(back[bits]))) << bits;
      } else {
        EXPECT_EQ(values[bits], meaning) << bits;
        EXPECT_EQ(std::signbit(values[bits]), std::signbit(meaning)) << bits;
        EXPECT_EQ(back[bits], bits);
      }
    }
  });
}

TEST(F16, RoundsToTheNearestAndTiesToTheEven) {
  on_every_instruction_set([] {
    for (std::uint16_t bits = 0; bits < 0x7bff; ++bits) {  // to the last finite one but one
      const auto low = static_cast<float>(meaning_of_f16(bits));
      const auto high = static_cast<float>(meaning_of_f16(bits + 1));
      const float middle = low + (high - low) / 2;  // exact: a bit more than both have
      const auto even = static_cast<std::uint16_t>(bits % 2 == 0 ? bits : bits + 1);
      ASSERT_EQ(f16_of(middle), even) << bits;
      ASSERT_EQ(f16_of(-middle), even | 0x8000) << bits;
      ASSERT_EQ(f16_of(std::nextafter(middle, low)), bits);
      ASSERT_EQ(f16_of(std::nextafter(middle, high)), bits + 1);
    }
    EXPECT_EQ(f16_of(0x1p-25F), 0) << "half of the smallest, a tie";
    EXPECT_EQ(f16_of(std::numeric_limits<float>::denorm_min()), 0);
  });
}

TEST(F16, IsInfiniteFromHalfAStepBeyondItsLastNumber) {
  EXPECT_EQ(f16_of(std::nextafter(65520.0F, 0.0F)), 0x7bff);
  EXPECT_EQ(f16_of(65520.0F), 0x7c00);
  EXPECT_EQ(f16_of(-1e30F), 0xfc00);
  EXPECT_EQ(f16_of(std::numeric_limits<float>::infinity()), 0x7c00);
}

TEST(BF16, IsTheUpperHalfOfAFloat) {
  on_every_instruction_set([] {
    const auto patterns = every_pattern();
    std::vector<float> values(patterns.size());
    from_bf16(patterns, values);
    std::vector<std::uint16_t> back(patterns.size());
    to_bf16(values, back);
    for (const auto bits : patterns) {
      EXPECT_EQ(std::bit_cast<std::uint32_t>(values[bits]), std::uint32_t{bits} << 16U);
      if (std::isnan(values[bits])) {
        EXPECT_EQ(back[bits], bits | 0x40) << "a quiet one";
      } else {
        EXPECT_EQ(back[bits], bits);
      }
    }
  });
}

TEST(BF16, RoundsToTheNearestAndTiesToTheEven) {
  on_every_instruction_set([] {
    EXPECT_EQ(bf16_of(1.0F), 0x3f80);
    EXPECT_EQ(bf16_of(0x1.01p0F), 0x3f80) << "a tie, and 0x3f80 is even";
    EXPECT_EQ(bf16_of(0x1.03p0F), 0x3f82) << "a tie, and 0x3f82 is even";
    EXPECT_EQ(bf16_of(0x1.010002p0F), 0x3f81);
    EXPECT_EQ(bf16_of(-3.14159265F), 0xc049);
    EXPECT_EQ(bf16_of(std::numeric_limits<float>::max()), 0x7f80);
    EXPECT_EQ(bf16_of(std::bit_cast<float>(0x7f800001U)), 0x7fc0) << "a NaN, not an infinity";
  });
}

// Lengths around a register's: the values behind the last whole register are converted too.
TEST(HalfFloats, ConvertAnyNumberOfValues) {
  on_every_instruction_set([] {
    for (std::size_t count = 0; count < 70; ++count) {
      std::vector<float> values(count);
      std::iota(values.begin(), values.end(), 1.0F);
      std::vector<std::uint16_t> halves(count + 1, 0xaaaa);
      to_f16(values, std::span(halves).first(count));
      EXPECT_EQ(halves[count], 0xaaaa);
      std::vector<float> back(count);
      from_f16(std::span(halves).first(count), back);
      EXPECT_EQ(back, values);
    }
  });
}

}  // namespace
}  // namespace entente
