#include "common/domain/statistics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "common/base/limits.h"
#include "common/domain/statistics_spec.h"

namespace entente {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Column numbers(const std::vector<double>& values) {
  Column column;
  column.sites = 1;
  for (const double value : values) {
    add_value(column, value);
  }
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  column.low = *low;
  column.high = *high;
  return column;
}

Column categories(std::map<std::string, std::uint64_t> cells) {
  Column column;
  column.role = ColumnRole::category;
  column.sites = 1;
  for (const auto& [name, rows] : cells) {
    column.count += rows;
  }
  column.cells = std::move(cells);
  return column;
}

Statistics of(const std::string& name, Column column) {
  Statistics statistics;
  statistics.columns.emplace(name, std::move(column));
  return statistics;
}

// The formula of two passes, over all values at once.
std::pair<double, double> naive(const std::vector<double>& values) {
  long double sum = 0;
  for (const double value : values) {
    sum += value;
  }
  const long double mean = sum / values.size();
  long double squares = 0;
  for (const double value : values) {
    squares += (value - mean) * (value - mean);
  }
  return {static_cast<double>(mean), static_cast<double>(squares)};
}

TEST(Statistics, SitesAddUpToTheTableOfAllRows) {
  std::mt19937 random(11);
  std::lognormal_distribution<double> draw(3, 2);
  for (int trial = 0; trial < 50; ++trial) {
    Statistics total;
    std::vector<double> all;
    for (std::size_t site = 0; site < 4; ++site) {
      std::vector<double> values(1 + random() % 200);
      std::generate(values.begin(), values.end(), [&] { return draw(random); });
      add(total, of("dose", numbers(values)));
      all.insert(all.end(), values.begin(), values.end());
    }
    const auto& column = total.columns.at("dose");
    const auto [mean, squares] = naive(all);
    EXPECT_EQ(column.count, all.size());
    EXPECT_NEAR(column.mean, mean, 1e-12 * std::abs(mean)) << "trial " << trial;
    EXPECT_NEAR(column.squares, squares, 1e-12 * squares) << "trial " << trial;
    EXPECT_EQ(column.low, *std::min_element(all.begin(), all.end()));
    EXPECT_EQ(column.high, *std::max_element(all.begin(), all.end()));
  }
}

// Sums of squares would have no correct digit left: 1e9 squared has 18 digits, a double 16.
TEST(Statistics, KeepTheVarianceOfNumbersFarFromZero) {
  Statistics total;
  add(total, of("date", numbers({1e9 + 4, 1e9 + 7})));
  add(total, of("date", numbers({1e9 + 13, 1e9 + 16})));
  EXPECT_DOUBLE_EQ(total.columns.at("date").mean, 1e9 + 10);
  EXPECT_DOUBLE_EQ(total.columns.at("date").squares, 90);
  EXPECT_DOUBLE_EQ(total.columns.at("date").deviation(), std::sqrt(22.5));
}

TEST(Statistics, ASiteThatWithholdsAColumnChangesNothingButItsCount) {
  Statistics total = of("age", numbers({20, 40}));
  Column withheld;
  withheld.withheld = 1;
  add(total, of("age", withheld));
  EXPECT_EQ(total.columns.at("age").mean, 30);
  EXPECT_EQ(total.columns.at("age").low, 20);
  EXPECT_EQ(total.columns.at("age").withheld, 1U);
}

TEST(Statistics, CategoriesOfSitesAreUnited) {
  Statistics total = of("ward", categories({{"medicine", 12}, {"surgery", 30}}));
  add(total, of("ward", categories({{"surgery", 11}, {"urology", 10}})));
  EXPECT_THAT(total.columns.at("ward").cells,
              ElementsAre(std::pair("medicine", 12U), std::pair("surgery", 41U),
                          std::pair("urology", 10U)));
}

TEST(Statistics, AColumnOfAnotherRoleIsCountedAsUnlike) {
  Statistics total = of("ward", categories({{"medicine", 12}}));
  add(total, of("ward", numbers({1, 2})));
  EXPECT_EQ(total.columns.at("ward").unlike, 1U);
  EXPECT_EQ(total.columns.at("ward").count, 12U);
}

class Quantiles : public testing::Test {
 protected:
  Quantiles() {
    statistics_.columns["age"] = numbers({0, 100});
    statistics_.columns["age"].count = 100;
    statistics_.histograms["age"].bins = {10, 40, 40, 10};
  }
  Statistics statistics_;
};

TEST_F(Quantiles, LieInTheirBinAndAreInterpolatedThere) {
  const auto median = quantile(statistics_, "age", 0.5);
  ASSERT_TRUE(median);
  EXPECT_EQ(median->value, 50);
  EXPECT_EQ(median->at_least, 25);
  EXPECT_EQ(median->at_most, 50);
  EXPECT_EQ(quantile(statistics_, "age", 0.3)->value, 37.5);
}

TEST_F(Quantiles, AreBoundedByWhatIsWithheld) {
  statistics_.histograms["age"].bins = {0, 40, 40, 0};
  statistics_.histograms["age"].rows_withheld = 20;
  // Rank 50 of 100: if all 20 lie below it is the 30th of those told, otherwise the 50th.
  const auto median = quantile(statistics_, "age", 0.5);
  EXPECT_EQ(median->at_least, 25);
  EXPECT_EQ(median->at_most, 75);
  const auto tenth = quantile(statistics_, "age", 0.1);
  EXPECT_EQ(tenth->at_least, 0);
  EXPECT_EQ(tenth->at_most, 50);
}

TEST_F(Quantiles, OfANumberThatNeverVariesAreThatNumber) {
  statistics_.columns["age"] = numbers({7, 7});
  EXPECT_EQ(quantile(statistics_, "age", 0.5)->value, 7);
  EXPECT_FALSE(quantile(statistics_, "weight", 0.5));
}

TEST_F(Quantiles, HoldTheirBoundsForAnyValues) {
  std::mt19937 random(5);
  std::gamma_distribution<double> draw(2, 3);
  for (int trial = 0; trial < 200; ++trial) {
    std::vector<double> values(1 + random() % 300);
    std::generate(values.begin(), values.end(), [&] { return draw(random); });
    std::sort(values.begin(), values.end());
    Statistics statistics = of("stay", numbers(values));
    const auto ranges = ranges_of(statistics);
    auto& histogram = statistics.histograms["stay"];
    histogram.bins.resize(10);
    for (const double value : values) {
      if (values.size() > 1 && random() % 10 == 0) {
        ++histogram.rows_withheld;
      } else if (values.size() > 1) {
        ++histogram.bins[bin_of(value, ranges.at("stay"), 10)];
      }
    }
    if (histogram.told() == 0) {
      continue;
    }
    for (const double share : {0.1, 0.5, 0.99}) {
      const auto rank =
          static_cast<std::size_t>(std::ceil(share * static_cast<double>(values.size())));
      const auto found = quantile(statistics, "stay", share);
      ASSERT_TRUE(found);
      const double truth = values[rank - 1];
      // The division that finds a bin rounds, so that a value on an edge may be on either side.
      EXPECT_GE(truth, found->at_least - 1e-9) << "trial " << trial << " share " << share;
      EXPECT_LE(truth, found->at_most + 1e-9) << "trial " << trial << " share " << share;
    }
  }
}

TEST(StatisticsSums, ComeBackAsTheyWere) {
  Statistics statistics = of("age", numbers({20, 40, 41}));
  statistics.columns["50% of/dose"] = numbers({1});
  auto& ward = statistics.columns["ward"] = categories({{"A/B", 12}, {"C%2FD", 30}});
  ward.cells_withheld = 2;
  ward.rows_withheld = 11;
  statistics.histograms["age"] = {{1, 0, 2}, 1, 10};
  const auto sums = to_sums(statistics);
  EXPECT_TRUE(sums.contains("cell/ward/A%2FB"));
  const auto back = statistics_from(sums);
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(*back, statistics);
}

TEST(StatisticsSums, OfHostileSitesAreRefused) {
  const auto legal = to_sums(of("age", numbers({20, 40})));
  ASSERT_TRUE(site_statistics_from(legal, 4));
  const auto refusal = [](const Sums& sums) {
    const auto read = site_statistics_from(sums, 4);
    EXPECT_FALSE(read.has_value());
    return read ? std::string() : read.error().message;
  };
  const auto with = [&](std::size_t at, double value) {
    auto sums = legal;
    sums.at("number/age").at(at) = value;
    return sums;
  };
  EXPECT_THAT(refusal(with(0, 2)), HasSubstr("more sites"));
  EXPECT_THAT(refusal(with(1, 1)), HasSubstr("more sites"));
  EXPECT_THAT(refusal(with(3, 1.5)), HasSubstr("no column has"));
  EXPECT_THAT(refusal(with(3, -1)), HasSubstr("no column has"));
  EXPECT_THAT(refusal(with(3, 1e15)), HasSubstr("rows"));
  EXPECT_THAT(refusal(with(5, std::nan(""))), HasSubstr("no column has"));
  EXPECT_THAT(refusal(with(5, 1e300)), HasSubstr("no column has"));
  EXPECT_THAT(refusal(with(6, -1)), HasSubstr("no column has"));
  EXPECT_THAT(refusal(with(7, 99)), HasSubstr("no column has"));
  EXPECT_THAT(refusal({{"number/age", {1, 0}}}), HasSubstr("no column has"));
  EXPECT_THAT(refusal({{"age", {1}}}), HasSubstr("names no column"));
  EXPECT_THAT(refusal({{"number/%41", {1}}}), HasSubstr("names no column"));
  EXPECT_THAT(refusal({{"moments/age", {1}}}), HasSubstr("not known"));
  EXPECT_THAT(refusal({{"cell/ward/A", {1}}}), HasSubstr("no column"));
  EXPECT_THAT(refusal({{"bins/age", {0, 0, 1, 2}}}), HasSubstr("asked for 4"));
  auto twice = legal;
  twice["target/age"] = legal.at("number/age");
  EXPECT_THAT(refusal(twice), HasSubstr("twice"));
}

TEST(StatisticsSums, OfASiteComeToItsRows) {
  const auto message = [](const Statistics& statistics) {
    const auto read = site_statistics_from(to_sums(statistics), 2);
    return read ? std::string() : read.error().message;
  };
  auto ward = categories({{"medicine", 12}, {"surgery", 30}});
  EXPECT_EQ(message(of("ward", ward)), "");
  ward.rows_withheld = 5;
  EXPECT_THAT(message(of("ward", ward)), HasSubstr("do not come to its own"));
  ward.cells_withheld = 1;
  ward.count += 5;
  EXPECT_EQ(message(of("ward", ward)), "");
  // As many as a double can count: two such sites would come to more than 64 bits hold.
  ward.cells["surgery"] = std::uint64_t{1} << 53U;
  EXPECT_THAT(message(of("ward", ward)), HasSubstr("do not come to its own"));
  auto words = categories({{"fever", 12}});
  words.role = ColumnRole::text;
  words.count = 20;
  EXPECT_EQ(message(of("note", words)), "") << "a text has many words";
  words.count = 11;
  EXPECT_THAT(message(of("note", words)), HasSubstr("do not come to its own"));
  Statistics bins;
  bins.histograms["age"].bins = {30, 12};
  EXPECT_EQ(message(bins), "");
  bins.histograms["age"].bins = {std::uint64_t{1} << 53U, 12};
  EXPECT_THAT(message(bins), HasSubstr("more than one site has"));
}

TEST(StatisticsSums, LeaveOutTheColumnsOfFewestSitesOfWhatFitsNoMessage) {
  constexpr std::size_t kBins = 256;
  Statistics statistics;
  for (std::size_t i = 0; i < columns_max(kBins) + 2; ++i) {
    auto column = numbers({1, 2});
    column.sites = i == 3 || i == 5 ? 1 : 2;
    statistics.columns.emplace("code " + std::to_string(i), column);
  }
  fit_message(statistics, kBins);
  EXPECT_EQ(statistics.columns.size(), columns_max(kBins));
  EXPECT_FALSE(statistics.columns.contains("code 3"));
  EXPECT_FALSE(statistics.columns.contains("code 5"));
}

TEST(StatisticsSums, LeaveOutTheRarestCellsOfWhatFitsNoMessage) {
  std::map<std::string, std::uint64_t> cells;
  for (std::size_t i = 0; i < limits::kStatisticsCellsMax + 2; ++i) {
    cells.emplace("code " + std::to_string(i), 1000 + i);
  }
  Statistics statistics = of("code", categories(cells));
  fit_message(statistics, 32);
  const auto& column = statistics.columns.at("code");
  EXPECT_EQ(column.cells.size(), limits::kStatisticsCellsMax);
  EXPECT_FALSE(column.cells.contains("code 0"));
  EXPECT_FALSE(column.cells.contains("code 1"));
  EXPECT_EQ(column.cells_withheld, 2U);
  EXPECT_EQ(column.rows_withheld, 2001U);
}

TEST(StatisticsSums, CarryRanges) {
  const Ranges ranges{{"age", {0, 100}}, {"dose", {-0.5, 3}}};
  EXPECT_EQ(ranges_from(to_sums(ranges)), ranges);
  EXPECT_FALSE(ranges_from({{"age", {100, 0}}}));
  EXPECT_FALSE(ranges_from({{"age", {1}}}));
  EXPECT_FALSE(ranges_from({{"age", {std::nan(""), 1}}}));
}

TEST(Normalisation, TakesEveryNumberThatIsAnInput) {
  Statistics statistics = of("age", numbers({20, 40}));
  statistics.columns["height"] = numbers({170, 170});
  statistics.columns["cost"] = numbers({1, 2});
  statistics.columns["cost"].role = ColumnRole::target;
  statistics.columns["ward"] = categories({{"A", 2}});
  statistics.columns["rare"].withheld = 3;
  EXPECT_THAT(scales_of(statistics), ElementsAre(Scale{"age", 30, 10}, Scale{"height", 170, 1}));
}

TEST(Normalisation, NamesItsJob) {
  EXPECT_EQ(parse_statistics_job("stats:tumours-1"), JobId::literal("tumours-1"));
  EXPECT_FALSE(parse_statistics_job("model:tumours-1"));
  EXPECT_FALSE(parse_statistics_job("stats:"));
  EXPECT_FALSE(check_normalisation({std::nullopt, {{"age", 0, 0}}}));
  EXPECT_FALSE(check_normalisation({std::nullopt, {{"age", 0, 1}, {"age", 0, 1}}}));
  EXPECT_TRUE(check_normalisation({JobId::literal("s-1"), {}}));
}

TEST(StatisticsSpec, IsCheckedByItsKeys) {
  const auto refusal = [](StatisticsSpec spec) {
    const auto sound = check_statistics_spec(spec);
    return sound ? std::string() : sound.error().message;
  };
  EXPECT_EQ(refusal({}), "");
  EXPECT_THAT(refusal({.columns = {"a", "a"}}), HasSubstr("twice"));
  EXPECT_THAT(refusal({.columns = {"a\n"}}), HasSubstr("statistics.columns"));
  EXPECT_THAT(refusal({.bins = 1}), HasSubstr("statistics.bins"));
  EXPECT_THAT(refusal({.quantiles = {1.5}}), HasSubstr("statistics.quantiles"));
}

}  // namespace
}  // namespace entente
