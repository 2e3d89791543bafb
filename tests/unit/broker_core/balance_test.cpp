// Steps by speed: jobs with train.local_steps = "balanced".
#include "broker/core/balance.h"

#include <gmock/gmock.h>

#include "tests/unit/broker_core/scenario.h"

namespace entente::broker {
namespace {

using testing::HasSubstr;

// Each site has 640 examples: 20 steps of 32.
constexpr std::uint64_t kNominal = 20;

struct Balanced : RunningJob {
  Balanced() : RunningJob(spec()) {}
  static JobSpec spec() {
    auto spec = three_site_spec();
    spec.rounds = 4;
    spec.sites.quorum = 3;
    spec.train.balanced = true;
    return spec;
  }
  std::uint64_t asked(const std::string& site, Round round) const {
    return store.task(train(site, round))->steps;
  }
  void begin(SessionId session, const std::string& site, Round round) {
    hear(session, msg::TaskReport{train(site, round), {0, 640, "examples"}});
  }
  Effects end(SessionId session, const std::string& site, Round round, std::uint8_t update) {
    const auto key = train(site, round);
    hear(session,
         msg::ResultAnnounce{key, {blob(update), 200, 640, asked(site, round), {{"loss", 0.5}}}});
    return arrive(key, blob(update));
  }
  // All begin at once; east takes a second, north two, south eight.
  void work(Round round) {
    begin(east, "east", round);
    begin(north, "north", round);
    begin(south, "south", round);
    wait(Millis(1000));
    end(east, "east", round, 1);
    wait(Millis(1000));
    end(north, "north", round, 2);
    wait(Millis(6000));
    end(south, "south", round, 3);
    merged(id, round, blob(static_cast<std::uint8_t>(100 + round)));
  }
};

TEST(Balance, TheFirstRoundIsEverybodysNominalWork) {
  Balanced it;
  for (const auto* site : {"east", "north", "south"}) {
    EXPECT_EQ(it.asked(site, 1), kNominal);
  }
}

// Speeds 20, 10 and 2.5 steps a second: 60 steps take 1.846 s of all of them.
TEST(Balance, EachGetsWhatItDoesInTheTimeThatAllTake) {
  Balanced it;
  it.work(1);
  EXPECT_EQ(it.asked("east", 2), 37U);
  EXPECT_EQ(it.asked("north", 2), 18U);
  EXPECT_EQ(it.asked("south", 2), kNominal / 4) << "4.6 would be less than a quarter";
  EXPECT_NEAR(it.store.part(it.id, SiteId::literal("south"))->steps_per_second, 2.5, 1e-9);
}

TEST(Balance, NobodyGetsMoreThanFourTimesItsNominalSteps) {
  Balanced it;
  it.begin(it.east, "east", 1);
  it.begin(it.south, "south", 1);
  it.wait(Millis(10));
  it.end(it.east, "east", 1, 1);
  it.wait(Millis(200'000));
  it.end(it.south, "south", 1, 3);
  it.end(it.north, "north", 1, 2);  // without a word before: no measure
  it.merged(it.id, 1, blob(101));
  EXPECT_EQ(it.asked("east", 2), 40U) << "all of the two sites' steps, which is below the bound";
  EXPECT_EQ(it.asked("south", 2), kNominal / 4);
  EXPECT_EQ(it.asked("north", 2), kNominal) << "its speed is not known";
}

TEST(Balance, StepsAndSpeedsOutliveARestartAndAreSaidAgainTheSame) {
  Balanced it;
  it.work(1);
  const auto before = it.asked("east", 2);
  it.restart();
  const auto session = it.open(Role::site, "east");
  it.hello(session);
  const auto offers = sent<msg::TaskOffer>(it.hear(session, msg::Advert{advert()}), session);
  ASSERT_EQ(offers.size(), 1U);
  EXPECT_EQ(offers[0].order.steps, before);
  it.hear(session,
          msg::TaskFailed{it.train("east", 2), {{"trainer_died", "killed", "", {}}, true}});
  EXPECT_EQ(it.store.task(it.train("east", 2, 2))->steps, before) << "asked again, for the same";
}

TEST(Balance, AResultOfOtherStepsIsRefused) {
  Balanced it;
  const auto key = it.train("east");
  const auto verdicts = sent<msg::ResultVerdict>(
      it.hear(it.east, msg::ResultAnnounce{key, {blob(1), 200, 640, 19, {{"loss", 0.5}}}}),
      it.east);
  ASSERT_EQ(verdicts.size(), 1U);
  EXPECT_EQ(verdicts[0].refusal->code, "steps_invalid");
  EXPECT_THAT(verdicts[0].refusal->message, HasSubstr("took 19 steps and was asked for 20"));
}

TEST(Balance, TheReceiptSaysWhatEverySiteHasDone) {
  Balanced it;
  it.work(1);
  it.work(2);
  const auto& receipt = it.store.models().back();
  ASSERT_EQ(receipt.contributions.size(), 3U);
  EXPECT_EQ(receipt.contributions[0].steps, 37U);
  EXPECT_EQ(receipt.contributions[2].steps, 5U);
}

TEST(Balance, TimeInWhichTheBrokerStoodStillIsNoMeasure) {
  Balanced it;
  it.begin(it.east, "east", 1);
  it.sleep(std::chrono::hours(1));
  it.end(it.east, "east", 1, 1);
  EXPECT_EQ(it.store.part(it.id, SiteId::literal("east"))->steps_per_second, 0);
}

TEST(Balance, OtherJobsSayNothingAboutSteps) {
  RunningJob it;
  EXPECT_EQ(it.store.task(it.train("east"))->steps, 0U);
}

}  // namespace
}  // namespace entente::broker
