// What expressions mean, which are refused and in what words, and that hostile ones do no harm.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ctime>
#include <limits>

#include "broker/expressions/sqlite_evaluator.h"
#include "common/base/limits.h"

namespace entente::broker {
namespace {

using testing::HasSubstr;
using testing::Not;
using Use = Evaluator::Use;

SiteAdvert hospital() {
  SiteAdvert advert;
  advert.slots = 2;
  advert.threads_per_slot = 4;
  advert.version = "1.0.0";
  advert.resources = {16, 64'000'000'000, 1};
  advert.jurisdiction = "FR";
  advert.labels = {{"network", "university"}, {"o-brien", "d'Orsay"}};
  advert.datasets = {{"scans", "idx", 640, {1, 28, 28}, 10, {}, {"ct", "2024"}},
                     {"labs", "idx", 50, {16}, 2, {}, {}},
                     {"stays", "csv", 0, {2}, 0, {}, {}, {"age", "body mass"}, 1, 0}};
  return advert;
}

const SiteId kSite = SiteId::literal("lyon");

class Expressions : public testing::Test {
 protected:
  bool holds(const std::string& expression, const SiteAdvert& advert = hospital()) const {
    return evaluator_.holds(expression, kSite, advert);
  }
  std::string refusal(const std::string& expression, Use use = Use::require) const {
    const auto problem = evaluator_.check(expression, use, "sites.require");
    return problem ? problem->message : "";
  }
  SqliteEvaluator evaluator_;
};

TEST_F(Expressions, ReadEveryColumnOfASiteAndItsDatasets) {
  for (const char* expression : {
           "site = 'lyon'",
           "jurisdiction = 'FR'",
           "jurisdiction IN ('DE', 'FR')",
           "slots = 2 AND threads_per_slot = 4 AND cores = 16",
           "memory_bytes = 64000000000 AND gpus = 1",
           "version = '1.0.0'",
           "label('network') = 'university'",
           "label('o-brien') = 'd''Orsay'",
           "label('nothing') IS NULL",
           "(SELECT sum(examples) FROM dataset) = 690",
           "EXISTS (SELECT 1 FROM dataset WHERE name = 'scans' AND has(tags, 'ct'))",
           "(SELECT kind || shape FROM dataset WHERE name = 'labs') = 'idx[16]'",
           "(SELECT classes FROM dataset WHERE name = 'scans') BETWEEN 2 AND 10",
           "version LIKE '1.%'",
           "EXISTS (SELECT 1 FROM dataset WHERE has(features, 'body_mass') AND targets = 1)",
           "(SELECT vocabulary FROM dataset WHERE name = 'stays') = 0",
       }) {
    EXPECT_EQ(refusal(expression), "") << expression;
    EXPECT_TRUE(holds(expression)) << expression;
  }
}

TEST_F(Expressions, UnknownIsNo) {
  SiteAdvert silent;
  EXPECT_FALSE(holds("jurisdiction = 'DE'", silent));
  EXPECT_FALSE(holds("NOT jurisdiction = 'DE'", silent));
  EXPECT_TRUE(holds("coalesce(jurisdiction, '') <> 'DE'", silent));
}

TEST_F(Expressions, ATagIsAWholeWord) {
  EXPECT_TRUE(holds("EXISTS (SELECT 1 FROM dataset WHERE has(tags, '2024'))"));
  EXPECT_FALSE(holds("EXISTS (SELECT 1 FROM dataset WHERE has(tags, '202'))"));
}

TEST_F(Expressions, FollowTheAdvert) {
  const std::string expression = "(SELECT examples FROM dataset WHERE name = 'scans') >= 1000";
  auto advert = hospital();
  EXPECT_FALSE(holds(expression, advert));
  advert.datasets[0].examples = 1000;
  EXPECT_TRUE(holds(expression, advert));
  advert.labels["network"] = "city";
  EXPECT_FALSE(holds("label('network') = 'university'", advert));
  EXPECT_TRUE(holds("label('network') = 'university'", hospital()));
}

TEST_F(Expressions, RankAndPutSitesWithoutANumberLast) {
  EXPECT_EQ(evaluator_.rank("cores * 2.5", kSite, hospital()), 40);
  EXPECT_EQ(evaluator_.rank("nullif(cores, 16)", kSite, hospital()),
            -std::numeric_limits<double>::infinity());
}

TEST_F(Expressions, SayWhatTheyHaveSeen) {
  EXPECT_EQ(evaluator_.seen("jurisdiction = 'DE'", kSite, hospital()), "jurisdiction = 'FR'");
  EXPECT_EQ(evaluator_.seen("jurisdiction = 'DE'", kSite, {}), "jurisdiction = NULL");
  EXPECT_EQ(evaluator_.seen("gpus + cores > 99 AND label('network') = 'x'", kSite, hospital()),
            "cores = 16, gpus = 1, label('network') = 'university'");
  EXPECT_EQ(evaluator_.seen("label('network') = 'x'", kSite, hospital()),
            "label('network') = 'university'");
  EXPECT_EQ(evaluator_.seen("(SELECT max(examples) FROM dataset) > 999", kSite, hospital()),
            "scans with examples = 640, labs with examples = 50, stays with examples = 0");
  EXPECT_EQ(evaluator_.seen("EXISTS (SELECT 1 FROM dataset WHERE name = 'x')", kSite, hospital()),
            "scans, labs, stays");
  EXPECT_EQ(evaluator_.seen("1 = 2", kSite, hospital()), "");
}

TEST_F(Expressions, MistakesAreNamedWithTheNextStep) {
  EXPECT_EQ(
      refusal("jurisdicton = 'DE'"),
      "sites.require \"jurisdicton = 'DE'\" names the unknown column \"jurisdicton\"; did you "
      "mean \"jurisdiction\"?");
  EXPECT_THAT(refusal("jurisdiction = \"DE\""), HasSubstr("unknown column \"DE\""));
  EXPECT_THAT(refusal("has(tags, 'ct')"), HasSubstr("a column of its datasets: write EXISTS"));
  EXPECT_THAT(refusal("lenght(version) > 1"), HasSubstr("did you mean \"length\"?"));
  EXPECT_THAT(refusal("cores >"), HasSubstr("cannot be read: "));
  EXPECT_THAT(refusal("jurisdiction"), HasSubstr("gives a text, must be true or false"));
  EXPECT_THAT(refusal("version", Use::prefer), HasSubstr("gives a text, must be a number"));
  EXPECT_THAT(refusal("(cores > 1"), HasSubstr("does not close a bracket"));
  EXPECT_THAT(refusal("jurisdiction = 'DE"), HasSubstr("does not close a quote"));
  EXPECT_THAT(refusal(std::string(limits::kExpressionBytesMax + 1, '1')), HasSubstr("bytes"));
  EXPECT_NE(refusal(""), "");
}

// Each is refused at submission, in a moment, without a trace.
TEST_F(Expressions, HostileOnesAreRefused) {
  std::string deep = "1";
  for (int i = 0; i < 400; ++i) {
    deep = "(" + deep + "+1)";
  }
  std::string join = "(SELECT count(*) FROM dataset a";
  for (const char name : std::string("bcdefgh")) {
    join += ", dataset ";
    join += name;
  }
  const std::string crowd =
      "(SELECT count(*) FROM (SELECT 1 FROM site UNION ALL SELECT 1 FROM site)";
  for (const std::string& expression : {
           // side effects
           std::string("1); DROP TABLE site; --"),
           std::string("1) FROM site; ATTACH 'x' AS y; SELECT (1"),
           std::string("load_extension('x')"),
           std::string("writefile('/tmp/x', 'y')"),
           std::string("readfile('/etc/passwd') = ''"),
           std::string("1) FROM site UNION SELECT (2"),
           std::string("1), (2"),
           std::string("?1"),
           // other tables
           std::string("(SELECT count(*) FROM sqlite_master)"),
           std::string("(SELECT count(*) FROM sqlite_schema)"),
           std::string("(SELECT count(*) FROM pragma_database_list)"),
           std::string("(SELECT count(*) FROM json_each('[1]'))"),
           std::string("(SELECT count(*) FROM generate_series(1, 1000000000))"),
           // long work and large values
           std::string("hex(zeroblob(400000000)) = ''"),
           std::string("length(randomblob(1000000000)) > 1"),
           std::string("length(printf('%1000000000d', 1)) > 1"),
           std::string("length(replace('aaaa', 'a', 'aaaaaaaaaaaa')) > 1"),
           std::string("(WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
                       "SELECT count(*) FROM n)"),
           std::string("random() > 0"),
           std::string("sqlite_version() = '3'"),
           std::string("datetime('now') > ''"),
           std::string("total_changes() = 0"),
           deep,
           std::string("version LIKE '" + std::string(100, '%') + "'"),
           // names that are not ours
           std::string("[site] = ''"),
           std::string("cores /* a comment */ > 1"),
           std::string("cores > 1 -- a comment"),
           std::string("cores > 1\x01"),
       }) {
    const auto before = std::clock();
    EXPECT_NE(refusal(expression), "") << expression;
    EXPECT_LT(std::clock() - before, CLOCKS_PER_SEC / 2) << expression;
    EXPECT_FALSE(holds(expression)) << expression;
  }
  EXPECT_EQ(refusal(join + ") > 0"), "") << "one dataset joined with itself is cheap";
  EXPECT_NE(refusal(crowd + ") > 0 AND 1 = 'x' || "), "");
}

// Passes the check, where there is one dataset, and meets a site that has a thousand.
TEST_F(Expressions, AJoinThatNeverEndsIsCutOffAndDoesNotHold) {
  SiteAdvert crowded;
  for (std::size_t i = 0; i < limits::kDatasetsPerSiteMax; ++i) {
    crowded.datasets.push_back({"d" + std::to_string(i), "idx", 1, {1}, 1, {}, {}});
  }
  const std::string expression =
      "(SELECT count(*) FROM dataset a, dataset b, dataset c, dataset d) >= 0";
  EXPECT_EQ(refusal(expression), "");
  const auto before = std::clock();
  EXPECT_FALSE(holds(expression, crowded));
  EXPECT_LT(std::clock() - before, CLOCKS_PER_SEC / 2);
  EXPECT_TRUE(holds("(SELECT count(*) FROM dataset) = 1000", crowded)) << "reading all is allowed";
}

// Patterns and concatenation within all limits, as slow as one can make them.
TEST_F(Expressions, TheSlowestPatternIsStillFast) {
  std::string text = "version";
  for (int i = 0; i < 8; ++i) {
    text = "(SELECT x || x FROM (SELECT " + text + " AS x))";
  }
  const std::string expression =
      text + " LIKE '%a%a%a%a%a%a%a%a%a%a%a%a%a%a%a%a%a%a%a%a%a%a%a%a%a%a%a%b'";
  auto advert = hospital();
  advert.version = std::string(15, 'a');
  const auto before = std::clock();
  (void)refusal(expression);
  EXPECT_FALSE(holds(expression, advert));
  EXPECT_LT(std::clock() - before, CLOCKS_PER_SEC);
}

TEST_F(Expressions, NoValueGrowsBeyondItsBound) {
  std::string text = "version";
  for (int i = 0; i < 30; ++i) {
    text = "(SELECT x || x FROM (SELECT " + text + " AS x))";
  }
  EXPECT_FALSE(holds("length(" + text + ") > 0"));
}

TEST(NoExpressions, RefusesToUseAny) {
  const auto problem = no_expressions().check("1", Use::require, "sites.require");
  ASSERT_TRUE(problem);
  EXPECT_THAT(problem->message, HasSubstr("evaluates no expressions"));
}

}  // namespace
}  // namespace entente::broker
