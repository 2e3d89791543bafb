// Jobs that count: two rounds, added up in the order of the sites, with what sites say checked.
#include <gmock/gmock.h>

#include "common/domain/statistics.h"
#include "tests/unit/broker_core/scenario.h"

namespace entente::broker {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

JobSpec counting_spec() {
  auto spec = small_spec();
  spec.kind = JobKind::statistics;
  spec.rounds = 2;
  spec.model = {};
  spec.statistics = StatisticsSpec{{}, 4, {0.5}};
  spec.sites.min = 2;
  return spec;
}

struct CountingJob : Scenario {
  explicit CountingJob(const JobSpec& spec = counting_spec())
      : east(spec.sites.min > 2 ? std::optional(connect("east")) : std::nullopt), id(submit(spec)) {
    if (east) {
      accept(*east, id);
    }
    started = accept(north, id);
    const auto more = accept(south, id);
    started.actions.insert(started.actions.end(), more.actions.begin(), more.actions.end());
  }

  [[nodiscard]] TaskKey task(const std::string& site, Round round = 1) const {
    return key(id, round, TaskKind::statistics, site);
  }

  Effects say(SessionId site, const TaskKey& key, const Statistics& statistics) {
    return hear(site, msg::ResultAnnounce{key, {{}, 0, 100, 0, {}, to_sums(statistics)}});
  }

  // What a site of two patients of these ages would say, if nobody withheld it.
  static Statistics ages(double a, double b) {
    Statistics statistics;
    auto& column = statistics.columns["age"];
    column.sites = 1;
    add_value(column, a);
    add_value(column, b);
    column.low = std::min(a, b);
    column.high = std::max(a, b);
    return statistics;
  }

  static Statistics bins(std::vector<std::uint64_t> counts) {
    Statistics statistics;
    statistics.histograms["age"].bins = std::move(counts);
    return statistics;
  }

  SessionId north = connect("north");
  SessionId south = connect("south");
  std::optional<SessionId> east;  // of a job that wants three
  JobId id;
  Effects started;
};

std::string refusal_code(const Effects& effects, SessionId session) {
  const auto verdicts = sent<msg::ResultVerdict>(effects, session);
  EXPECT_EQ(verdicts.size(), 1U);
  return verdicts.empty() || !verdicts[0].refusal ? "" : verdicts[0].refusal->code;
}

TEST(StatisticsJob, CountsInTwoRoundsAndCompletes) {
  CountingJob it;
  const auto offers = sent<msg::TaskOffer>(it.started, it.south);
  ASSERT_EQ(offers.size(), 1U);
  EXPECT_EQ(offers[0].order.key, it.task("south"));
  EXPECT_FALSE(offers[0].order.model);
  EXPECT_THAT(offers[0].order.ranges, IsEmpty());
  EXPECT_EQ(refusal_code(it.say(it.north, it.task("north"), it.ages(20, 40)), it.north), "");
  const auto effects = it.say(it.south, it.task("south"), it.ages(60, 80));
  const auto second = sent<msg::TaskOffer>(effects, it.north);
  ASSERT_EQ(second.size(), 1U);
  EXPECT_EQ(second[0].order.key, it.task("north", 2));
  EXPECT_EQ(ranges_from(second[0].order.ranges), (Ranges{{"age", {20, 80}}}));
  it.say(it.north, it.task("north", 2), it.bins({1, 1, 0, 0}));
  it.say(it.south, it.task("south", 2), it.bins({0, 0, 1, 1}));
  EXPECT_EQ(it.state(it.id), JobState::completed);
  const auto reply = it.answer(it.connect(Role::coordinator, "alice"), msg::ShowJob{it.id});
  const auto found = statistics_from(std::get<JobView>(reply).statistics);
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_EQ(found->columns.at("age").count, 4U);
  EXPECT_DOUBLE_EQ(found->columns.at("age").mean, 50);
  EXPECT_DOUBLE_EQ(found->columns.at("age").squares, 2000);
  EXPECT_THAT(found->histograms.at("age").bins, testing::ElementsAre(1, 1, 1, 1));
}

TEST(StatisticsJob, GoesOnAfterARestartInEitherRound) {
  CountingJob it;
  it.say(it.north, it.task("north"), it.ages(20, 40));
  it.restart();
  it.north = it.connect("north");
  it.south = it.connect("south");
  it.say(it.south, it.task("south"), it.ages(60, 80));
  it.say(it.south, it.task("south", 2), it.bins({0, 0, 1, 1}));
  it.restart();
  it.north = it.connect("north");
  it.say(it.north, it.task("north", 2), it.bins({1, 1, 0, 0}));
  EXPECT_EQ(it.state(it.id), JobState::completed);
  EXPECT_EQ(statistics_from(it.job(it.id).rounds.at(1).sums)->columns.at("age").mean, 50);
}

TEST(StatisticsJob, RefusesWhatNoSiteCouldHaveCounted) {
  CountingJob it;
  auto statistics = it.ages(20, 40);
  statistics.columns["age"].sites = 2;
  EXPECT_EQ(refusal_code(it.say(it.north, it.task("north"), statistics), it.north),
            "statistics_invalid");
}

TEST(StatisticsJob, RefusesWhatItsRoundDoesNotAskFor) {
  CountingJob it;
  EXPECT_EQ(refusal_code(it.say(it.south, it.task("south"), it.bins({1, 1, 0, 0})), it.south),
            "statistics_invalid")
      << "histograms are of the second round";
}

TEST(StatisticsJob, RefusesColumnsThatItsCoordinatorHasNotNamed) {
  auto spec = counting_spec();
  spec.statistics->columns = {"weight"};
  CountingJob it(spec);
  EXPECT_EQ(refusal_code(it.say(it.north, it.task("north"), it.ages(20, 40)), it.north),
            "statistics_invalid");
}

// What one site says that a column is does not make the others' numbers worthless.
TEST(StatisticsJob, TakesAColumnForWhatMostSitesSayThatItIs) {
  auto spec = counting_spec();
  spec.sites.min = 3;
  CountingJob it(spec);
  Statistics other;
  auto& column = other.columns["age"];
  column.role = ColumnRole::category;
  column.sites = 1;
  column.cells = {{"old", 12}};
  column.count = 12;
  it.say(*it.east, it.task("east"), other);
  it.say(it.north, it.task("north"), it.ages(20, 40));
  it.say(it.south, it.task("south"), it.ages(60, 80));
  const auto found = statistics_from(it.store.round(it.id, 1)->sums);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->columns.at("age").role, ColumnRole::number);
  EXPECT_EQ(found->columns.at("age").count, 4U);
  EXPECT_EQ(found->columns.at("age").unlike, 1U);
  EXPECT_THAT(it.store.task(it.task("east"))->result.sums, IsEmpty()) << "of no use any more";
}

TEST(StatisticsJob, WithoutARangeToDivideEndsAfterItsFirstRound) {
  CountingJob it;
  it.say(it.north, it.task("north"), it.ages(30, 30));
  it.say(it.south, it.task("south"), it.ages(30, 30));
  EXPECT_EQ(it.state(it.id), JobState::completed);
  EXPECT_THAT(it.job(it.id).row.reason, HasSubstr("histogram"));
}

TEST(StatisticsJob, IsCompleteInItsSpec) {
  Scenario it;
  it.connect("north");
  const auto alice = it.connect(Role::coordinator, "alice");
  auto spec = counting_spec();
  spec.statistics.reset();
  EXPECT_THAT(it.refusal(alice, msg::SubmitJob{spec, {}}).message, HasSubstr("needs [statistics]"));
  spec = counting_spec();
  spec.rounds = 3;
  EXPECT_THAT(it.refusal(alice, msg::SubmitJob{spec, {}}).message, HasSubstr("has no rounds"));
  spec = small_spec();
  spec.train.normalise = Normalisation{JobId::literal("lung-1"), {}};
  EXPECT_EQ(it.refusal(alice, msg::SubmitJob{spec, {}}).code, "normalise_unresolved");
}

}  // namespace
}  // namespace entente::broker
