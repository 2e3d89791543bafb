#include "common/domain/small_cells.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace entente {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::vector<std::uint64_t> told(std::vector<std::uint64_t> cells, std::uint64_t cell_min) {
  withhold_cells(cells, cell_min);
  return cells;
}

TEST(SmallCells, BelowTheThresholdAreNotTold) {
  EXPECT_THAT(told({40, 3, 8, 20}, 10), ElementsAre(40, 0, 0, 20));
  EXPECT_THAT(told({40, 10, 0}, 10), ElementsAre(40, 10, 0));
}

// 100 rows less 95 would be the 5 that are not to be told.
TEST(SmallCells, CannotBeWorkedOutFromTheOthers) {
  EXPECT_THAT(told({95, 5}, 10), ElementsAre(0, 0));
  EXPECT_THAT(told({60, 35, 5}, 10), ElementsAre(60, 0, 0));
}

TEST(SmallCells, HoldTogetherEnoughRowsOrNone) {
  std::mt19937 random(3);
  for (int trial = 0; trial < 1000; ++trial) {
    std::vector<std::uint64_t> cells(1 + random() % 8);
    std::generate(cells.begin(), cells.end(), [&] { return random() % 30; });
    std::uint64_t all = 0;
    for (const auto rows : cells) {
      all += rows;
    }
    const std::uint64_t cell_min = 1 + random() % 15;
    const auto withheld = withhold_cells(cells, cell_min);
    std::uint64_t left = 0;
    for (const auto rows : cells) {
      EXPECT_TRUE(rows == 0 || rows >= cell_min);
      left += rows;
    }
    EXPECT_EQ(left + withheld.rows, all);
    EXPECT_TRUE(withheld.rows == 0 || withheld.rows >= cell_min || left == 0);
  }
}

Column column_of(const std::vector<double>& values, std::uint64_t cell_min) {
  Column column;
  column.sites = 1;
  RangeOfMany range(cell_min);
  for (const double value : values) {
    add_value(column, value);
    range.add(value);
  }
  range.finish(column);
  return column;
}

TEST(RangeOfMany, LeavesOutTheOutermostValuesAndIsRounded) {
  std::vector<double> ages{103, 1};
  for (int age = 20; age < 80; ++age) {
    ages.push_back(age + 0.25);
  }
  const auto column = column_of(ages, 3);
  EXPECT_EQ(column.sites, 1U);
  EXPECT_EQ(column.count, 62U);
  // The third smallest is 21.25, the third largest 78.25; steps of 10.
  EXPECT_EQ(column.low, 20);
  EXPECT_EQ(column.high, 80);
}

TEST(RangeOfMany, WithholdsAColumnOfTooFewValues) {
  const auto column = column_of({20, 30, 40}, 5);
  EXPECT_EQ(column.sites, 0U);
  EXPECT_EQ(column.withheld, 1U);
  EXPECT_EQ(column.count, 0U);
  EXPECT_EQ(column.mean, 0);
}

// The mean of 3 ones among 100 rows would be their number.
TEST(RangeOfMany, WithholdsANumberThatNearlyAllRowsShare) {
  std::vector<double> positive(100);
  positive[7] = positive[20] = positive[21] = 1;
  EXPECT_EQ(column_of(positive, 10).withheld, 1U);
  std::fill_n(positive.begin(), 10, 1);
  EXPECT_EQ(column_of(positive, 10).withheld, 0U);
  EXPECT_EQ(column_of(std::vector<double>(100, 1), 10).withheld, 0U);
}

TEST(RangeOfMany, OfFewerValuesThanTwiceTheThresholdIsThatOfTheMiddle) {
  std::vector<double> ages(15);
  for (std::size_t i = 0; i < ages.size(); ++i) {
    ages[i] = 10.0 * static_cast<double>(i);
  }
  // The seventh and the ninth of them.
  auto column = column_of(ages, 10);
  EXPECT_EQ(column.low, 60);
  EXPECT_EQ(column.high, 80);
  ages.push_back(150);
  column = column_of(ages, 10);
  EXPECT_EQ(column.low, 70);
  EXPECT_EQ(column.high, 80);
}

TEST(RoundedOutward, HasRoundEndsOutside) {
  EXPECT_EQ(rounded_outward({18.3, 91.7}), (Range{10, 100}));
  EXPECT_EQ(rounded_outward({-0.37, 0.42}), (Range{-0.4, 0.5}));
  EXPECT_EQ(rounded_outward({1000001, 1000002}).low, 1000001);
  std::mt19937 random(9);
  std::normal_distribution<double> draw(0, 1000);
  for (int trial = 0; trial < 1000; ++trial) {
    const double a = draw(random);
    const double b = draw(random);
    const Range range{std::min(a, b), std::max(a, b)};
    const auto rounded = rounded_outward(range);
    EXPECT_LE(rounded.low, range.low);
    EXPECT_GE(rounded.high, range.high);
    EXPECT_LE(rounded.high - rounded.low, 1.41 * (range.high - range.low));
  }
}

// 59 of 60 texts with the word are one without.
TEST(SmallCells, AreAlsoTextsThatLackAWord) {
  Column column;
  column.role = ColumnRole::text;
  column.sites = 1;
  column.count = 60;
  column.cells = {{"all", 60}, {"consented", 59}, {"half", 30}, {"rare", 2}};
  Statistics statistics;
  statistics.columns["note"] = column;
  EXPECT_TRUE(check_withheld(statistics, 10));
  withhold_cells(column, 10);
  EXPECT_THAT(column.cells, ElementsAre(testing::Pair("all", 60), testing::Pair("half", 30)));
  EXPECT_EQ(column.cells_withheld, 2U);
  statistics.columns["note"] = column;
  EXPECT_FALSE(check_withheld(statistics, 10));
}

TEST(CheckWithheld, FindsWhatIsTooFine) {
  Statistics statistics;
  auto& column = statistics.columns["ward"];
  column.role = ColumnRole::category;
  column.sites = 1;
  column.count = 50;
  column.cells = {{"A", 30}, {"B", 20}};
  EXPECT_FALSE(check_withheld(statistics, 10));
  column.cells["B"] = 9;
  ASSERT_TRUE(check_withheld(statistics, 10));
  EXPECT_THAT(check_withheld(statistics, 10)->message, HasSubstr("\"ward\""));
  column.cells.erase("B");
  column.rows_withheld = 9;
  EXPECT_TRUE(check_withheld(statistics, 10));
  column.rows_withheld = 20;
  statistics.histograms["age"].bins = {0, 12, 9};
  EXPECT_TRUE(check_withheld(statistics, 10));
  statistics.histograms["age"].bins = {0, 12, 0};
  EXPECT_FALSE(check_withheld(statistics, 10));
  column.count = 9;
  EXPECT_TRUE(check_withheld(statistics, 10));
}

// 3 ones among 100 rows, as their mean.
TEST(CheckWithheld, FindsANumberThatNearlyAllRowsShare) {
  Statistics statistics;
  statistics.columns["ill"] = {ColumnRole::number, 1, 0, 0, 100, 0, 0.03, 2.91, 0, 0};
  EXPECT_TRUE(check_withheld(statistics, 10));
  statistics.columns["ill"].high = 1;
  EXPECT_FALSE(check_withheld(statistics, 10));
}

}  // namespace
}  // namespace entente
