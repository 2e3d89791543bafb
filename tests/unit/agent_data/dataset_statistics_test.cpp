// What a site counts of a dataset, and what it keeps to itself.
#include "site-agent/data/dataset_statistics.h"

#include <fmt/format.h>

#include "common/domain/small_cells.h"
#include "site-agent/data/normalise.h"
#include "tests/unit/agent_data/table_fixture.h"

namespace entente::agent {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;

constexpr std::uint64_t kCellMin = 5;

class TableStatistics : public TableFolder {
 protected:
  // 40 patients aged 20 to 59; every tenth has no weight; ill from 50 on; one in a ward of its own.
  TableStatistics() {
    csv_ = "age,weight,ward,outcome\n";
    for (int age = 20; age < 60; ++age) {
      csv_ += fmt::format("{},{},{},{}\n", age, age % 10 == 0 ? "NA" : std::to_string(age + 40),
                          age == 33      ? "burns"
                          : age % 2 == 0 ? "medicine"
                                         : "surgery",
                          age < 50 ? "well" : "ill");
    }
    config_ = patients(csv_);
    config_.table.features = {"age", "weight", "ward"};
    config_.table.missing_words = {"NA"};
    config_.table.missing = Missing::mean;
    config_.table.columns["ward"].find_categories = true;
    config_.table.standardise = {"*"};
  }

  Expected<Statistics> count(const StatisticsSpec& spec,
                             const std::optional<Ranges>& ranges = std::nullopt) const {
    const auto opened = DatasetStatistics::open(config_, spec);
    if (!opened) {
      return tl::unexpected(opened.error());
    }
    return opened->count(kCellMin, ranges, [](std::uint64_t) {});
  }

  Statistics counted(const StatisticsSpec& spec,
                     const std::optional<Ranges>& ranges = std::nullopt) const {
    auto statistics = count(spec, ranges);
    if (!statistics) {
      ADD_FAILURE() << statistics.error().message;
      return {};
    }
    EXPECT_FALSE(check_withheld(*statistics, kCellMin));
    return *std::move(statistics);
  }

  std::string csv_;
  DatasetConfig config_;
};

TEST_F(TableStatistics, AreOfTheValuesAsTheyAreStored) {
  const auto statistics = counted({});
  const auto& age = statistics.columns.at("age");
  EXPECT_EQ(age.role, ColumnRole::number);
  EXPECT_EQ(age.count, 40U);
  EXPECT_DOUBLE_EQ(age.mean, 39.5);
  EXPECT_DOUBLE_EQ(age.squares, 40.0 * (40 * 40 - 1) / 12);
  // The fifth from either end, outward to the next multiple of 5.
  EXPECT_EQ(age.low, 20);
  EXPECT_EQ(age.high, 55);
  const auto& weight = statistics.columns.at("weight");
  EXPECT_EQ(weight.count, 36U);
  EXPECT_EQ(weight.missing, 4U);
  EXPECT_THAT(statistics.columns.at("outcome").cells,
              ElementsAre(Pair("ill", 10), Pair("well", 30)));
  EXPECT_EQ(statistics.columns.at("outcome").role, ColumnRole::label);
}

TEST_F(TableStatistics, KeepSmallCategoriesToThemselves) {
  const auto statistics = counted({.columns = {"ward"}});
  const auto& ward = statistics.columns.at("ward");
  EXPECT_EQ(statistics.columns.size(), 1U);
  // The one patient of "burns" could be worked out from the rest: "surgery" goes with it.
  EXPECT_THAT(ward.cells, ElementsAre(Pair("medicine", 20)));
  EXPECT_EQ(ward.cells_withheld, 2U);
  EXPECT_EQ(ward.rows_withheld, 20U);
}

// Whatever agent.toml does not list counts as one cell without a name, and never as missing.
TEST_F(TableStatistics, KeepCategoriesThatAreNotListedToThemselves) {
  config_.table.columns["ward"].find_categories = false;
  config_.table.columns["ward"].categories = {"medicine", "surgery"};
  config_.table.columns["ward"].unknown = Unknown::zeros;
  const auto ward = counted({.columns = {"ward"}}).columns.at("ward");
  EXPECT_EQ(ward.missing, 0U);
  EXPECT_EQ(ward.count, 40U);
  EXPECT_THAT(ward.cells, ElementsAre(Pair("medicine", 20)));
  EXPECT_EQ(ward.rows_withheld, 20U);
}

TEST_F(TableStatistics, OfTheSecondRoundAreHistograms) {
  const StatisticsSpec spec{.bins = 4};
  const auto statistics = counted(spec, Ranges{{"age", {20, 60}}, {"height", {0, 1}}});
  EXPECT_THAT(statistics.columns, IsEmpty());
  ASSERT_EQ(statistics.histograms.size(), 1U);
  EXPECT_THAT(statistics.histograms.at("age").bins, ElementsAre(10, 10, 10, 10));
}

TEST_F(TableStatistics, LeaveOutWhatIsHeldOut) {
  config_.holdout = Holdout{.share = 0.3};
  const auto left = counted({.columns = {"age"}}).columns.at("age");
  config_.holdout->held = true;
  const auto held = counted({.columns = {"age"}}).columns.at("age");
  EXPECT_EQ(left.count + held.count, 40U);
  EXPECT_NEAR((left.mean * left.count + held.mean * held.count) / 40, 39.5, 1e-12);
}

TEST_F(TableStatistics, AreRefusedOfAColumnThatThereIsNot) {
  const auto refused = count({.columns = {"agee"}});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, "data_contract_violated");
  EXPECT_THAT(refused.error().message, HasSubstr("did you mean \"age\"?"));
  // What the table has beside the columns that agent.toml names is nobody's business.
  config_.table.features = {"age"};
  EXPECT_FALSE(count({.columns = {"weight"}}));
}

TEST_F(TableStatistics, OfTextsCountEachWordOnceInAText) {
  std::string csv = "note,outcome\n";
  for (int i = 0; i < 6; ++i) {
    csv += fmt::format("Pain and pain {},{}\n", i, i % 2 == 0 ? "well" : "ill");
  }
  config_.source = CsvFile{write("notes.csv", csv)};
  config_.table = {};
  config_.table.text = "note";
  config_.table.label = "outcome";
  config_.table.tokens = {.by = TokensBy::words, .vocabulary = 100, .length = 4};
  const auto statistics = counted({.columns = {"note"}});
  EXPECT_THAT(statistics.columns.at("note").cells, ElementsAre(Pair("and", 6), Pair("pain", 6)));
  EXPECT_EQ(statistics.columns.at("note").cells_withheld, 6U);
}

class Normalised : public TableStatistics {
 protected:
  static std::string refusal(const DatasetConfig& config, const std::vector<Scale>& scales) {
    const auto loaded = load_normalised(config, scales);
    EXPECT_FALSE(loaded.has_value());
    return loaded ? "" : loaded.error().message;
  }
};

// The site's own standardising gives way; a missing weight is filled in before.
TEST_F(Normalised, NumbersAreThoseOfTheJob) {
  config_.table.features = {"age", "ward", "weight"};
  config_.table.missing = Missing::constant;
  config_.table.columns["weight"].constant = 50;
  config_.table.columns["weight"].mean = 1;
  config_.table.columns["weight"].deviation = 1;
  const auto data = load_normalised(config_, {{"weight", 50, 2}, {"age", 20, 10}});
  ASSERT_TRUE(data) << data.error().message;
  EXPECT_THAT(std::vector(data->features.begin(), data->features.begin() + 10),
              ElementsAre(0, 0, 1, 0, 0, 0.1F, 0, 0, 1, 5.5F));
}

TEST_F(Normalised, NumbersAreAllNamedAndNoOthers) {
  EXPECT_THAT(refusal(config_, {{"age", 0, 1}}),
              HasSubstr("\"weight\", which train.normalise lacks"));
  EXPECT_THAT(refusal(config_, {{"age", 0, 1}, {"weight", 0, 1}, {"wards", 0, 1}}),
              HasSubstr("no input \"wards\""));
}

TEST(InputColumns, AreChannelsOfImagesAndPositionsOfVectors) {
  const InputColumns image({3, 2, 2});
  EXPECT_THAT(image.names, ElementsAre("channel 1", "channel 2", "channel 3"));
  EXPECT_EQ(image.per_example, 4U);
  EXPECT_EQ(image.column_of(3), 0U);
  EXPECT_EQ(image.column_of(4), 1U);
  const InputColumns series({5, 2});
  EXPECT_THAT(series.names, ElementsAre("input 1", "input 2"));
  EXPECT_EQ(series.column_of(3), 1U);
  EXPECT_THAT(InputColumns({5000}).names, ElementsAre("inputs"));
}

}  // namespace
}  // namespace entente::agent
