// Jobs that train at a sample of their sites in each round.
#include <fmt/format.h>
#include <gmock/gmock.h>

#include <algorithm>
#include <random>
#include <set>

#include "tests/unit/broker_core/scenario.h"

namespace entente::broker {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const Millis kWindow = small_spec().stall_window;
const TaskFailure kForGood{{"broken", "no disk", "", {}}, false};

JobSpec sampling_spec(SampleSpec sample, std::uint32_t sites = 6) {
  auto spec = small_spec(8);
  spec.seed = 1;
  spec.sites.min = sites;
  spec.sites.sample = sample;
  return spec;
}

SampleSpec count(std::uint32_t of, double over = 1, std::uint32_t separation = 0) {
  return {SampleBy::uniform, of, 0, over, separation};
}

// Sites s0 to s5 have the places of a job, in round 1.
struct Sampled : Scenario {
  explicit Sampled(JobSpec spec = sampling_spec(count(2))) {
    for (std::uint32_t i = 0; i < spec.sites.min; ++i) {
      const auto name = fmt::format("s{}", i);
      sessions[name] = connect(name);
    }
    id = submit(spec);
    for (const auto& [name, session] : sessions) {
      accept(session, id);
    }
    deliver(sessions.at("s0"), key(id, 0, TaskKind::initialize, "s0"), blob(100));
  }

  TaskKey train(const std::string& site, Round round) const {
    return key(id, round, TaskKind::train, site);
  }
  // Who has a task in the round, by name.
  std::vector<std::string> asked(Round round) const {
    std::vector<std::string> names;
    for (const auto& [key, task] : store.tasks()) {
      if (key.round == round && key.kind == TaskKind::train) {
        names.push_back(key.site.str());
      }
    }
    return names;
  }
  Effects answer_round(const std::string& site, Round round) {
    return deliver(sessions.at(site), train(site, round), blob(next_blob++));
  }
  // Everybody who was asked answers, and the updates are merged.
  void finish(Round round) {
    for (const auto& site : asked(round)) {
      answer_round(site, round);
    }
    merged(id, round, blob(static_cast<std::uint8_t>(100 + round)));
  }
  std::string last_words(JobEventKind kind) const {
    std::string text;
    for (const auto& event : store.events(id)) {
      text = event.kind == kind ? event.text : text;
    }
    return text;
  }

  std::map<std::string, SessionId> sessions;
  JobId id;
  std::uint8_t next_blob = 1;
};

TEST(Sampling, ARoundAsksItsShareOfTheSitesAndNamesThem) {
  Sampled it;
  const auto asked = it.asked(1);
  ASSERT_EQ(asked.size(), 2U);
  EXPECT_THAT(
      it.last_words(JobEventKind::round_started),
      testing::AnyOf(
          fmt::format("round 1 of 8: training at 2 of 6 sites, {} and {}", asked[0], asked[1]),
          fmt::format("round 1 of 8: training at 2 of 6 sites, {} and {}", asked[1], asked[0])));
  it.answer_round(asked[0], 1);
  EXPECT_EQ(it.store.round(it.id, 1)->state, RoundState::training);
  const auto merges = all<StartMerge>(it.answer_round(asked[1], 1));
  ASSERT_EQ(merges.size(), 1U);
  EXPECT_EQ(merges[0].updates.size(), 2U);
}

TEST(Sampling, WatchersSeeWhoSitsOut) {
  Scenario it;
  const auto east = it.connect("east");
  const auto north = it.connect("north");
  const auto id = it.submit(sampling_spec(count(1), 2));
  const auto alice = it.connect(Role::coordinator, "alice");
  it.ask(alice, msg::WatchJob{id, 0});
  it.accept(east, id);
  it.accept(north, id);
  const auto made = it.deliver(east, key(id, 0, TaskKind::initialize, "east"), blob(100));
  const auto updates = sent<msg::JobUpdate>(made, alice);
  ASSERT_FALSE(updates.empty());
  const auto view = std::get<JobView>(it.answer(alice, msg::ShowJob{id}));
  EXPECT_NE(view.sites[0].sits_out, view.sites[1].sits_out);
  for (const auto& site : view.sites) {
    EXPECT_EQ(site.sits_out,
              it.store.task(key(id, 1, TaskKind::train, site.site.str())) == nullptr);
  }
  const auto explained = std::get<Explanation>(it.answer(alice, msg::ExplainJob{id}));
  const auto& idle = explained.sites[view.sites[0].sits_out ? 0 : 1];
  EXPECT_THAT(idle.sentences, ElementsAre("it was not drawn for round 1"));
}

TEST(Sampling, RoundsDrawAnewAndTheSameAfterAnyRestart) {
  Sampled undisturbed;
  Sampled restarted;
  std::set<std::vector<std::string>> draws;
  for (Round round = 1; round <= 8; ++round) {
    undisturbed.finish(round);
    restarted.restart();
    for (auto& [name, session] : restarted.sessions) {
      session = restarted.connect(name);
    }
    restarted.finish(round);
    EXPECT_EQ(restarted.asked(round), undisturbed.asked(round)) << round;
    draws.insert(undisturbed.asked(round));
  }
  EXPECT_GT(draws.size(), 3U);
}

TEST(Sampling, WhoFailsIsReplacedByTheNextInTurnAndKeepsItsPlace) {
  Sampled it;
  const auto first = it.asked(1);
  it.answer_round(first[0], 1);
  it.hear(it.sessions.at(first[1]), msg::TaskFailed{it.train(first[1], 1), kForGood});
  auto now = it.asked(1);
  ASSERT_EQ(now.size(), 3U);
  std::erase_if(now, [&](const std::string& site) {
    return std::find(first.begin(), first.end(), site) != first.end();
  });
  EXPECT_EQ(it.last_words(JobEventKind::site_replaced),
            now[0] + " is drawn for round 1, which lacks an answer");
  EXPECT_TRUE(it.store.part(it.id, SiteId::literal(first[1]))->has_place);
  EXPECT_EQ(all<StartMerge>(it.answer_round(now[0], 1)).at(0).updates.size(), 2U);
}

TEST(Sampling, WhoStallsIsReplacedToo) {
  Sampled it;
  const auto first = it.asked(1);
  it.answer_round(first[0], 1);
  it.wait(kWindow);
  ASSERT_EQ(it.asked(1).size(), 3U);
  EXPECT_EQ(it.store.round(it.id, 1)->state, RoundState::training) << "the quorum is both";
}

TEST(Sampling, AQuorumBelowTheSampleClosesTheRoundWhenTheRestStall) {
  auto spec = sampling_spec(count(2));
  spec.sites.quorum = 1;
  Sampled it(spec);
  it.answer_round(it.asked(1)[0], 1);
  EXPECT_EQ(all<StartMerge>(it.wait(kWindow)).at(0).updates.size(), 1U);
}

TEST(Sampling, OfMoreThanAreNeededTheFirstToAnswerCountAndTheOthersAreToldToStop) {
  Sampled it(sampling_spec(count(2, 1.5)));
  const auto asked = it.asked(1);
  ASSERT_EQ(asked.size(), 3U);
  it.answer_round(asked[2], 1);
  const auto effects = it.answer_round(asked[0], 1);
  EXPECT_EQ(all<StartMerge>(effects).at(0).updates.size(), 2U);
  const auto verdicts = sent<msg::ResultVerdict>(effects, it.sessions.at(asked[1]));
  ASSERT_EQ(verdicts.size(), 1U);
  EXPECT_EQ(verdicts[0].key, it.train(asked[1], 1));
  EXPECT_EQ(verdicts[0].refusal->code, "stale");
  EXPECT_THAT(verdicts[0].refusal->message, HasSubstr("not needed"));
  EXPECT_FALSE(it.store.part(it.id, SiteId::literal(asked[1]))->silent);
}

TEST(Sampling, WhoseUpdateWasTakenRestsForSoManyRounds) {
  Sampled it(sampling_spec(count(2, 1, 2)));
  std::map<std::string, Round> last;
  for (Round round = 1; round <= 8; ++round) {
    const auto asked = it.asked(round);
    ASSERT_EQ(asked.size(), 2U);
    for (const auto& site : asked) {
      EXPECT_TRUE(!last.contains(site) || round - last[site] > 2) << site << " in " << round;
      last[site] = round;
    }
    if (round == 4) {
      it.restart();  // rest outlives the process
      for (auto& [name, session] : it.sessions) {
        session = it.connect(name);
      }
    }
    it.finish(round);
  }
  EXPECT_EQ(it.state(it.id), JobState::completed);
}

TEST(Sampling, ARoundThatRestLeavesWithTooFewFailsTheJobAndSaysSo) {
  Sampled it(sampling_spec(count(1, 1, 2), 3));
  it.finish(1);
  it.finish(2);
  const auto third = it.asked(3).at(0);
  it.hear(it.sessions.at(third), msg::TaskFailed{it.train(third, 3), kForGood});
  EXPECT_EQ(it.state(it.id), JobState::failed);
  EXPECT_THAT(it.job(it.id).row.reason,
              HasSubstr("round 3 has 0 of the 1 updates it needs, and nobody is left"));
  EXPECT_THAT(it.job(it.id).row.reason, HasSubstr("2 of its sites rest (sites.sample.separation)"));
}

TEST(Sampling, AnUpdateThatIsFoundDamagedIsAskedForAgainAtTheSameSite) {
  Sampled it(sampling_spec(count(2, 1, 2)));
  const auto asked = it.asked(1);
  it.answer_round(asked[0], 1);
  it.answer_round(asked[1], 1);
  it.on(MergeFinished{it.id, 1, tl::unexpected(Refusal{"damaged", "", "", {}}), {blob(1)}});
  EXPECT_EQ(it.store.task(key(it.id, 1, TaskKind::train, asked[0], 2))->state, TaskState::pending);
  EXPECT_EQ(it.asked(1).size(), 3U) << "two attempts of one, one of the other";
}

TEST(Sampling, BySamplesTheLargestSiteIsDrawnMostOften) {
  auto spec = sampling_spec({SampleBy::samples, 1, 0, 1, 0}, 4);
  spec.rounds = 60;
  Scenario it;
  std::map<std::string, SessionId> sessions;
  for (const auto& [name, examples] :
       std::map<std::string, std::uint64_t>{{"a", 10}, {"b", 10}, {"c", 10}, {"large", 3000}}) {
    auto what = advert();
    what.datasets[0].examples = examples;
    sessions[name] = it.connect(name, what);
  }
  const auto id = it.submit(spec);
  for (const auto& [name, session] : sessions) {
    it.accept(session, id);
  }
  it.deliver(sessions.at("a"), key(id, 0, TaskKind::initialize, "a"), blob(100));
  std::size_t large = 0;
  for (Round round = 1; round <= 60; ++round) {
    for (const auto& [name, session] : sessions) {
      if (it.store.task(key(id, round, TaskKind::train, name)) != nullptr) {
        large += name == "large" ? 1 : 0;
        it.deliver(session, key(id, round, TaskKind::train, name), blob(7));
      }
    }
    it.merged(id, round, blob(static_cast<std::uint8_t>(100 + round)));
  }
  EXPECT_GE(large, 57U) << "of 60, in each with a chance of 0.99";
}

TEST(Sampling, AFractionIsOfThePlacesThatTheJobStartsWith) {
  Sampled it(sampling_spec({SampleBy::uniform, 0, 0.5, 1, 0}));
  EXPECT_EQ(it.asked(1).size(), 3U);
  const auto offers = it.restart();  // offers wait for their sites
  EXPECT_THAT(all<StartMerge>(offers), IsEmpty());
  EXPECT_EQ(it.asked(1).size(), 3U);
}

// The site's policy may ask for a minimum, and what counts is what is merged.
TEST(Sampling, ATaskSaysHowManyUpdatesItsRoundMerges) {
  Sampled it(sampling_spec(count(2, 1.5)));
  const auto asked = it.asked(1).at(0);
  it.on(SessionClosed{it.sessions.at(asked)});
  const auto session = it.open(Role::site, asked);
  it.hello(session);
  const auto offers = sent<msg::TaskOffer>(it.hear(session, msg::Advert{advert()}), session);
  ASSERT_EQ(offers.size(), 1U);
  EXPECT_EQ(offers[0].order.cohort, 2U);
}

// Whatever happens: who is asked has accepted, is not draining, not silent, and has rested.
class SamplingProperty : public testing::TestWithParam<std::uint32_t> {};

TEST_P(SamplingProperty, NobodyIsAskedWhoMayNotBe) {
  std::mt19937 random(GetParam());
  const auto below = [&random](std::uint32_t bound) { return random() % bound; };
  auto spec = sampling_spec(count(1 + below(2), 1 + below(2), below(3)));
  spec.rounds = 30;
  spec.deadline = std::chrono::hours(200);
  Sampled it(spec);
  const auto operator_ = it.connect(Role::operator_, "mary");
  const auto check = [&](const Effects& effects) {
    for (const auto& row : effects.rows) {
      const auto* task = std::get_if<TaskRow>(&row);
      if (task == nullptr || task->key.kind != TaskKind::train ||
          task->state != TaskState::pending || task->key.attempt > 1) {
        continue;
      }
      const auto& part = it.job(it.id).parts.at(task->key.site).row;
      EXPECT_EQ(part.enrolment, Enrolment::accepted);
      EXPECT_TRUE(part.has_place);
      EXPECT_FALSE(it.core.state().sites.at(task->key.site).row.draining);
      EXPECT_TRUE(!part.silent || it.core.state().sites.at(task->key.site).session);
      EXPECT_TRUE(part.last_round == 0 || part.last_round == task->key.round ||
                  task->key.round - part.last_round > spec.sites.sample->separation)
          << task->key.site.str() << " in round " << task->key.round;
    }
  };
  for (int i = 0; i < 600 && !it.job(it.id).ended(); ++i) {
    const auto name = fmt::format("s{}", below(6));
    auto& session = it.sessions.at(name);
    const auto round = it.job(it.id).rounds.rbegin()->second;
    const auto& tasks = it.job(it.id).tasks;
    const auto open = std::find_if(tasks.begin(), tasks.end(), [](const auto& entry) {
      return is_open(entry.second) && entry.first.kind == TaskKind::train;
    });
    switch (below(8)) {
      case 0:
        check(it.ask(operator_, msg::DrainSite{SiteId::literal(name), ""}));
        break;
      case 1:
      case 2:
        check(it.ask(operator_, msg::ResumeSite{SiteId::literal(name)}));
        break;
      case 3:
        check(it.on(SessionClosed{session}));
        session = it.connect(name);
        break;
      case 4:
        if (open != tasks.end()) {
          const auto key = open->first;
          check(it.hear(it.sessions.at(key.site.str()), msg::TaskFailed{key, kForGood}));
        }
        break;
      case 5:
        check(it.wait(below(4) == 0 ? kWindow : Millis(1000)));
        break;
      default:
        if (open != tasks.end()) {
          const auto key = open->first;
          check(it.deliver(it.sessions.at(key.site.str()), key, blob(it.next_blob++)));
        }
    }
    if (round.state == RoundState::merging) {
      check(it.merged(it.id, round.round, blob(static_cast<std::uint8_t>(100 + round.round))));
    }
  }
  EXPECT_TRUE(it.job(it.id).ended() || it.job(it.id).rounds.size() > 2) << "seed " << GetParam();
}

INSTANTIATE_TEST_SUITE_P(Seeds, SamplingProperty, testing::Range(0U, 40U));

}  // namespace
}  // namespace entente::broker
