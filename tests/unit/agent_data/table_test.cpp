// What becomes of a table's columns: numbers, categories, missing values, labels, targets, the
// holdout; and that what does not fit is refused with file, line and column, never with content.
#include <cmath>

#include "common/base/limits.h"
#include "tests/unit/agent_data/table_fixture.h"

namespace entente::agent {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::FloatEq;
using testing::HasSubstr;
using testing::Not;

class Table : public TableFolder {};

TEST_F(Table, GivesFeaturesInTheOrderOfTheConfigurationAndLabelsByName) {
  auto config = patients(kPatients);
  config.table.features = {"weight", "age"};
  const auto data = load(config);
  EXPECT_THAT(data.shape, ElementsAre(2));
  EXPECT_THAT(data.features, ElementsAre(60.5F, 30, 70, 50, 90, 70));
  EXPECT_THAT(data.labels, ElementsAre(0, 1, 1));
  EXPECT_EQ(data.classes, 2U);
  EXPECT_THAT(data.feature_names, ElementsAre("weight", "age"));
}

TEST_F(Table, IsDescribedAsItIsLoaded) {
  auto config = patients(kPatients);
  config.table.columns["weight"].categories = {"60.5", "70", "90"};
  config.tags = {"2024"};
  const auto advert = describe_dataset(config);
  ASSERT_TRUE(advert) << advert.error().message;
  EXPECT_EQ(advert->kind, "csv");
  EXPECT_EQ(advert->examples, 3U);
  EXPECT_THAT(advert->example_shape, ElementsAre(4));
  EXPECT_EQ(advert->classes, 2U);
  EXPECT_THAT(advert->class_names, ElementsAre("well", "ill"));
  EXPECT_THAT(advert->features, ElementsAre("age", "weight=60.5", "weight=70", "weight=90"));
  EXPECT_EQ(load(config).shape, advert->example_shape);
}

TEST_F(Table, IsDescribedByItsShapeAloneWhereNamesCannotBeTold) {
  auto config = patients("age,age=30,outcome\n30,1,ill\n");
  config.table.features = {"age", "age=30"};
  config.table.columns["age"].categories = {"30", "40"};
  auto advert = describe_dataset(config);
  ASSERT_TRUE(advert) << advert.error().message;
  EXPECT_THAT(advert->example_shape, ElementsAre(3));
  EXPECT_THAT(advert->features, testing::IsEmpty());
  config.table.columns["age"].categories = {"30", std::string(255, 'x')};
  advert = describe_dataset(config);
  ASSERT_TRUE(advert);
  EXPECT_THAT(advert->features, testing::IsEmpty());
}

TEST_F(Table, LabelsMayBeNumbers) {
  auto config = patients("age,weight,outcome\n1,2,0\n1,2, 3 \n");
  config.class_names.clear();
  EXPECT_THAT(load(config).labels, ElementsAre(0, 3));
  EXPECT_EQ(load(config).classes, 4U);
  config.classes = 3;
  EXPECT_EQ(
      refusal(config),
      "patients.csv:3: column \"outcome\" has a label that is out of range, the dataset has 3 "
      "classes");
}

TEST_F(Table, MayHaveNumbersToPredict) {
  auto config = patients(kPatients);
  config.class_names.clear();
  config.table.features = {"age"};
  config.table.label.clear();
  config.table.targets = {"weight", "age"};
  const auto data = load(config);
  EXPECT_EQ(data.size(), 3U);
  EXPECT_EQ(data.targets, 2U);
  EXPECT_EQ(data.classes, 0U);
  EXPECT_THAT(data.values, ElementsAre(60.5F, 30, 70, 50, 90, 70));
  EXPECT_TRUE(data.labels.empty());
  EXPECT_EQ(describe_dataset(config)->targets, 2U);
}

TEST_F(Table, CategoriesBecomeOneInputEach) {
  auto config = patients("age,weight,outcome\n1,low,ill\n2, high ,ill\n3,low,well\n");
  config.table.columns["weight"].categories = {"high", "mid", "low"};
  EXPECT_THAT(load(config).features, ElementsAre(1, 0, 0, 1, 2, 1, 0, 0, 3, 0, 0, 1));
}

TEST_F(Table, CategoriesMayBeFoundButTheirNamesStayAtTheSite) {
  auto config = patients("age,weight,outcome\n1,low,ill\n2,high,ill\n3,low,well\n");
  config.table.columns["weight"].find_categories = true;
  EXPECT_THAT(load(config).features, ElementsAre(1, 0, 1, 2, 1, 0, 3, 0, 1)) << "high, then low";
  EXPECT_THAT(describe_dataset(config)->features, ElementsAre("age", "weight=1", "weight=2"));
}

TEST_F(Table, ACategoryNeverSeenIsRefusedOrAllZeros) {
  auto config = patients("age,weight,outcome\n1,low,ill\n2,secret,ill\n");
  auto& weight = config.table.columns["weight"];
  weight.categories = {"low", "high"};
  EXPECT_EQ(refusal(config),
            "patients.csv:3: column \"weight\" has a category that agent.toml does not list");
  EXPECT_FALSE(describe_dataset(config));
  weight.unknown = Unknown::zeros;
  EXPECT_THAT(load(config).features, ElementsAre(1, 1, 0, 2, 0, 0));
}

TEST_F(Table, MissingValuesAreRefusedUnlessTheSiteSaysWhatTheyAre) {
  auto config = patients("age,weight,outcome\n10,1,ill\n,2,ill\n20,3,ill\nNA,4,ill\n60,5,ill\n");
  EXPECT_EQ(refusal(config), "patients.csv:3: column \"age\" has no value");
  config.table.missing = Missing::mean;
  EXPECT_EQ(refusal(config), "patients.csv:5: column \"age\" has text where a number belongs");
  config.table.missing_words = {"NA"};
  const auto ages = [&] {
    const auto data = load(config);
    return std::vector<float>{data.features[2], data.features[6]};
  };
  EXPECT_THAT(ages(), ElementsAre(30, 30));
  config.table.columns["age"].missing = Missing::median;
  EXPECT_THAT(ages(), ElementsAre(20, 20));
  config.table.columns["age"].missing = Missing::constant;
  config.table.columns["age"].constant = -1;
  EXPECT_THAT(ages(), ElementsAre(-1, -1));
}

// sklearn.preprocessing.StandardScaler().fit_transform([[30], [50], [70]]), scikit-learn 1.2.1.
TEST_F(Table, StandardisesByItsOwnMeanAndDeviation) {
  auto config = patients(kPatients);
  config.table.standardise = {"age"};
  const auto data = load(config);
  EXPECT_THAT(data.features,
              ElementsAre(FloatEq(-1.2247449F), 60.5F, 0.0F, 70.0F, FloatEq(1.2247449F), 90.0F));
}

TEST_F(Table, StandardisesByAMeanAndDeviationThatAreGiven) {
  auto config = patients(kPatients);
  config.table.standardise = {"*"};
  auto& age = config.table.columns["age"];
  age.mean = 40;
  age.deviation = 10;
  const auto data = load(config);
  EXPECT_THAT(data.features[0], FloatEq(-1));
  EXPECT_THAT(data.features[4], FloatEq(3));
}

TEST_F(Table, AColumnThatNeverVariesIsOnlyCentred) {
  auto config = patients("age,weight,outcome\n5,1,ill\n5,2,ill\n");
  config.table.standardise = {"age"};
  EXPECT_THAT(load(config).features, ElementsAre(0, 1, 0, 2));
}

TEST_F(Table, WhatIsHeldOutDoesNotTouchWhatIsTrainedOn) {
  std::string csv = "age,weight,outcome\n";
  for (int i = 0; i < 1000; ++i) {
    csv += std::to_string(i) + "," + std::to_string(i % 7) + "," + (i % 3 == 0 ? "ill" : "well") +
           "\n";
  }
  auto config = patients(csv);
  config.holdout = Holdout{0.2, "", false};
  const auto train = load(config);
  config.holdout->held = true;
  const auto held = load(config);
  EXPECT_EQ(train.size() + held.size(), 1000U);
  EXPECT_NEAR(static_cast<double>(held.size()), 200, 40);
  EXPECT_EQ(describe_dataset(config)->examples, held.size());

  // Both sides are standardised by what is trained on.
  config.table.standardise = {"age"};
  const auto scaled_held = load(config);
  config.holdout->held = false;
  const auto scaled_train = load(config);
  double sum = 0;
  for (std::size_t i = 0; i < scaled_train.size(); ++i) {
    sum += scaled_train.features[2 * i];
  }
  EXPECT_NEAR(sum / 1000, 0, 1e-5);
  const double slope = (scaled_train.features[2] - scaled_train.features[0]) /
                       (train.features[2] - train.features[0]);
  EXPECT_NEAR(scaled_held.features[0] - scaled_train.features[0],
              slope * (held.features[0] - train.features[0]), 1e-5);
}

TEST_F(Table, AnExampleStaysOnItsSideWhateverIsAdded) {
  auto config = patients(kPatients);
  const auto ages_held = [&](const std::string& csv) {
    config = patients(csv);
    config.holdout = Holdout{0.5, "", true};
    const auto data = load(config);
    std::set<float> ages;
    for (std::size_t i = 0; i < data.size(); ++i) {
      ages.insert(data.features[2 * i]);
    }
    return ages;
  };
  std::string csv = "age,weight,outcome\n";
  for (int i = 0; i < 50; ++i) {
    csv += std::to_string(i) + ",1,ill\n";
  }
  const auto before = ages_held(csv);
  std::string more = "age,weight,outcome\n";
  for (int i = 99; i >= 0; --i) {
    more += std::to_string(i) + ",1,ill\n";
  }
  const auto after = ages_held(more);
  EXPECT_TRUE(std::includes(after.begin(), after.end(), before.begin(), before.end()));
  EXPECT_EQ(std::count_if(after.begin(), after.end(), [](float age) { return age < 50; }),
            static_cast<std::ptrdiff_t>(before.size()));
}

TEST_F(Table, RowsWithOneValueOfTheHoldoutColumnStayTogether) {
  std::string csv = "age,weight,outcome\n";
  for (int i = 0; i < 400; ++i) {
    csv += std::to_string(i) + "," + std::to_string(i % 20) + ",ill\n";
  }
  auto config = patients(csv);
  config.holdout = Holdout{0.5, "weight", true};
  const auto weights = [&] {
    const auto data = load(config);
    std::set<float> found;
    for (std::size_t i = 0; i < data.size(); ++i) {
      found.insert(data.features[2 * i + 1]);
    }
    EXPECT_EQ(data.size(), 20 * found.size());
    return found;
  };
  const auto held = weights();
  config.holdout->held = false;
  const auto rest = weights();
  EXPECT_EQ(held.size() + rest.size(), 20U);
  EXPECT_FALSE(held.empty());
}

TEST_F(Table, AnEmptyHoldoutIsRefused) {
  auto config = patients(kPatients);
  config.holdout = Holdout{1e-9, "", true};
  EXPECT_EQ(refusal(config),
            "dataset \"patients\": a holdout of 1e-09 leaves none of 3 examples for judging");
}

TEST_F(Table, ASiteMayHaveNoExampleOfAClass) {
  auto config = patients("age,weight,outcome\n1,2,ill\n3,4,ill\n");
  const auto data = load(config);
  EXPECT_EQ(data.classes, 2U);
  EXPECT_THAT(data.class_counts(), ElementsAre(0, 2));
}

TEST_F(Table, AMissingColumnIsNamedWithTheNearestThereIs) {
  auto config = patients(kPatients);
  config.table.features = {"age", "wieght"};
  EXPECT_EQ(refusal(config),
            "patients.csv:1: there is no column \"wieght\", which features names; did you mean "
            "\"weight\"?");
  config = patients("age,age,outcome\n1,2,ill\n");
  config.table.features = {"age"};
  EXPECT_EQ(refusal(config), "patients.csv:1: there are two columns \"age\"");
}

TEST_F(Table, ContentIsNeverQuoted) {
  for (const char* row : {"30,s3cret,ill", "30,60,s3cret", "s3cret,60,ill", "30,1e99,ill",
                          "30,inf,ill", "30,nan,ill", "30,0x10,ill", "30,6 0,ill"}) {
    const auto refused = refusal(patients("age,weight,outcome\n" + std::string(row) + "\n"));
    EXPECT_THAT(refused, AllOf(HasSubstr("patients.csv:2: column \""), Not(HasSubstr("s3cret"))))
        << row;
  }
}

TEST_F(Table, AClassThatIsNotListedIsRefused) {
  EXPECT_EQ(refusal(patients("age,weight,outcome\n1,2,Ill\n")),
            "patients.csv:2: column \"outcome\" has a class that class_names does not list");
  auto config = patients("age,weight,outcome\n1,2,-1\n");
  config.class_names.clear();
  EXPECT_THAT(refusal(config), HasSubstr("has no label from 0 to 999999"));
}

TEST_F(Table, MayBeDealtOutForATrial) {
  auto config = patients(kPatients);
  std::size_t examples = 0;
  for (std::uint32_t index = 0; index < 2; ++index) {
    config.partition = Partition{.scheme = "iid", .of = 2, .index = index};
    examples += load(config).size();
  }
  EXPECT_EQ(examples, 3U);
  config.class_names.clear();
  config.table.label.clear();
  config.table.targets = {"weight"};
  EXPECT_EQ(load(config).size(), 2U);
  config.partition->scheme = "dirichlet";
  EXPECT_THAT(refusal(config), HasSubstr("only examples with labels"));
}

}  // namespace
}  // namespace entente::agent
