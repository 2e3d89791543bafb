// Tasks that count: what leaves the house is held against the site's policy once more.
#include <gmock/gmock.h>

#include "common/domain/statistics.h"
#include "tests/unit/agent_core/scenario.h"

namespace entente::agent {
namespace {

struct Counting : Scenario {
  Counting() : Scenario(settings_that_allow()) {
    start();
    auto offer = Scenario::offer();
    offer.spec.kind = JobKind::statistics;
    offer.spec.rounds = 2;
    offer.spec.model = {};
    offer.spec.statistics = StatisticsSpec{{}, 4, {}};
    const auto starts = all<effect::StartTrainer>(hear(offer));
    EXPECT_EQ(starts.size(), 1U);
    trainer = starts.at(0).trainer;
    on(event::TrainerPrepared{trainer});
    order.key = {JobId::literal("lung-1"), 1, TaskKind::statistics, SiteId::literal("north"), 1};
    begun = hear(msg::TaskOffer{order});
  }

  static AgentSettings settings_that_allow() {
    auto settings = defaults();
    settings.policy.kinds = {"statistics"};
    settings.policy.statistics_cell_min = 12;
    return settings;
  }

  // The trainer has counted so many women and men.
  Effects counted(std::uint64_t women, std::uint64_t men) {
    Statistics statistics;
    auto& column = statistics.columns["sex"];
    column.role = ColumnRole::category;
    column.sites = 1;
    column.count = women + men;
    column.cells = {{"f", women}, {"m", men}};
    return on(event::TrainerFinished{trainer, women + men, 0, {}, to_sums(statistics)});
  }

  TrainerId trainer = 0;
  TaskOrder order;
  Effects begun;
};

TEST(Counting, IsAskedForWithTheThresholdOfThePolicy) {
  Counting it;
  const auto runs = all<effect::RunTask>(it.begun);
  ASSERT_EQ(runs.size(), 1U);
  EXPECT_EQ(runs[0].cell_min, 12U);
}

TEST(Counting, IsAnnouncedWithWhatWasCounted) {
  Counting it;
  const auto announced = sent<msg::ResultAnnounce>(it.counted(30, 12));
  ASSERT_EQ(announced.size(), 1U);
  EXPECT_EQ(announced[0].result.sums.at("cell/sex/m").at(0), 12);
  EXPECT_FALSE(announced[0].result.blob);
}

TEST(Counting, OfTooFewRowsStaysInTheHouse) {
  Counting it;
  const auto effects = it.counted(30, 11);
  EXPECT_TRUE(sent<msg::ResultAnnounce>(effects).empty());
  EXPECT_FALSE(has<effect::SaveResult>(effects));
  EXPECT_EQ(sent<msg::TaskFailed>(effects).at(0).failure.reason.code, "statistics_too_fine");
}

TEST(Counting, IsAnsweredWithSumsAlone) {
  Counting it;
  const auto effects = it.on(event::TrainerFinished{it.trainer, 40, 0, {{"oldest", 97}}, {}});
  EXPECT_EQ(sent<msg::TaskFailed>(effects).at(0).failure.reason.code, "contract_violated");
}

// Ranges that shift a little would tell single rows apart.
TEST(Counting, OfTheSecondRoundHasOneQuestion) {
  Counting it;
  it.counted(30, 12);
  auto second = it.order;
  second.key.round = 2;
  const auto refused = [&](Attempt attempt, const Sums& ranges) {
    second.key.attempt = attempt;
    second.ranges = ranges;
    return !sent<msg::TaskFailed>(it.hear(msg::TaskOffer{second})).empty();
  };
  EXPECT_TRUE(refused(1, {})) << "no range at all";
  EXPECT_FALSE(refused(1, {{"age", {20, 80}}}));
  EXPECT_TRUE(refused(2, {{"age", {20, 81}}}));
  EXPECT_FALSE(refused(2, {{"age", {20, 80}}}));
  second.key.round = 3;
  EXPECT_TRUE(refused(1, {{"age", {20, 80}}}));
}

// The broker would close the session over it, and again after each reconnect.
TEST(Counting, HasNamesThatAMessageCanHold) {
  Counting it;
  const auto effects = it.on(event::TrainerFinished{it.trainer, 40, 0, {}, {{"a\n", {1}}}});
  EXPECT_EQ(sent<msg::TaskFailed>(effects).at(0).failure.reason.code, "contract_violated");
}

}  // namespace
}  // namespace entente::agent
