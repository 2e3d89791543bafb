// What a coordinator that follows a job sees.
#include <set>

#include "tests/unit/broker_core/scenario.h"

namespace entente::broker {
namespace {

std::vector<std::uint64_t> seqs(const Effects& effects, SessionId session) {
  std::vector<std::uint64_t> seqs;
  for (const auto& update : sent<msg::JobUpdate>(effects, session)) {
    for (const auto& event : update.events) {
      seqs.push_back(event.seq);
    }
  }
  return seqs;
}

TEST(Watching, BeginsWithWhatIsOnDiskAndGoesOnLiveWithoutGapOrRepeat) {
  RunningJob it;
  const auto watch = it.ask(it.alice, msg::WatchJob{it.id, 2});
  EXPECT_TRUE(std::holds_alternative<msg::Done>(sent<msg::Reply>(watch, it.alice).at(0).body));
  const auto queries = all<SendEvents>(watch);
  ASSERT_EQ(queries.size(), 1U);
  EXPECT_EQ(queries[0].after_seq, 2U);
  EXPECT_EQ(queries[0].up_to_seq, it.store.events(it.id).size());

  auto next = queries[0].up_to_seq + 1;
  const auto expect_next = [&](const Effects& effects) {
    for (const auto seq : seqs(effects, it.alice)) {
      EXPECT_EQ(seq, next++);
    }
  };
  expect_next(it.deliver(it.east, it.train("east"), blob(1)));
  expect_next(it.deliver(it.north, it.train("north"), blob(2)));
  expect_next(it.deliver(it.south, it.train("south"), blob(3)));
  expect_next(it.merged(it.id, 1, blob(101)));
  expect_next(it.ask(it.alice, msg::AbortJob{it.id, ""}));
  EXPECT_EQ(next, it.store.events(it.id).size() + 1);
  EXPECT_EQ(it.store.events(it.id).back().kind, JobEventKind::aborted);
  EXPECT_TRUE(it.core.state().watchers.empty());
}

TEST(Watching, TheSameJobTwiceInOneSessionIsOneWatch) {
  RunningJob it;
  it.ask(it.alice, msg::WatchJob{it.id, 0});
  it.ask(it.alice, msg::WatchJob{it.id, 0});
  const auto updates =
      sent<msg::JobUpdate>(it.deliver(it.east, it.train("east"), blob(1)), it.alice);
  ASSERT_EQ(updates.size(), 1U);
  EXPECT_EQ(updates[0].id, it.last_request) << "the later request's";
}

TEST(Watching, AnEndedJobIsShownAndNotFollowed) {
  RunningJob it;
  it.ask(it.alice, msg::AbortJob{it.id, ""});
  const auto effects = it.ask(it.alice, msg::WatchJob{it.id, 0});
  EXPECT_EQ(all<SendEvents>(effects).at(0).summary.state, JobState::aborted);
  EXPECT_TRUE(it.core.state().watchers.empty());
}

TEST(Watching, EndsWithTheSession) {
  RunningJob it;
  it.ask(it.alice, msg::WatchJob{it.id, 0});
  it.on(SessionClosed{it.alice});
  EXPECT_TRUE(it.core.state().watchers.empty());
}

TEST(Watching, ProgressIsPushedAtMostFiveTimesASecond) {
  RunningJob it;
  it.ask(it.alice, msg::WatchJob{it.id, 0});
  it.sleep(Millis(200));
  const auto report = [&](std::uint64_t done) {
    return it.hear(it.north, msg::TaskReport{it.train("north"), {done, 10, "examples"}});
  };
  EXPECT_TRUE(report(1).actions.empty());
  ASSERT_TRUE(it.core.next_wakeup());
  EXPECT_EQ(*it.core.next_wakeup(), it.now.monotonic + Millis(200));
  report(2);
  EXPECT_TRUE(it.wait(Millis(199)).actions.empty());
  const auto updates = sent<msg::JobUpdate>(it.wait(Millis(1)), it.alice);
  ASSERT_EQ(updates.size(), 1U);
  EXPECT_TRUE(updates[0].events.empty());
  EXPECT_EQ(updates[0].sites.at(1).progress.done, 2U);
  EXPECT_EQ(updates[0].sites.at(1).task_state, TaskState::running);
  EXPECT_TRUE(it.wait(Millis(200)).actions.empty()) << "nothing has moved since";
}

}  // namespace
}  // namespace entente::broker
