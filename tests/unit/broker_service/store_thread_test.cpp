// The store thread: rows first, then the actions, in order.
#include "broker/service/store_thread.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <future>

namespace entente::broker {
namespace {

namespace fs = std::filesystem;

const JobId kJob = JobId::literal("lung-1");

JobRow job_row() {
  JobRow row;
  row.job = kJob;
  row.coordinator = "alice";
  row.spec.name = "lung";
  row.spec.deadline = std::chrono::hours(1);
  row.spec.stall_window = std::chrono::minutes(5);
  row.spec.model.input = {4};
  row.spec.model.layers = {LayerSpec{"linear", "fc1", {{"out_features", std::int64_t{2}}}}};
  row.spec.train.dataset = "scans";
  return row;
}

EventRow event_row(std::uint64_t seq) {
  EventRow row{kJob, {}};
  row.event.seq = seq;
  row.event.text = "something happened";
  return row;
}

JobSummary summary() {
  JobSummary summary;
  summary.id = kJob;
  return summary;
}

class StoreThreadTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string folder = (fs::temp_directory_path() / "entente-store-thread-XXXXXX").string();
    ASSERT_NE(::mkdtemp(folder.data()), nullptr);
    folder_ = folder;
  }
  void TearDown() override { fs::remove_all(folder_); }

  BrokerStore open() { return BrokerStore::open(folder_ / "broker.db").value(); }

  // Pushes everything while the thread is held, so that one transaction takes it all; returns the
  // actions in the order they came back.
  std::vector<Action> commit_together(std::vector<Effects> batches) {
    std::promise<void> held;
    std::promise<void> release;
    std::vector<Action> committed;
    {
      StoreThread thread(open(), {[&, is_first = true](std::vector<Action> actions) mutable {
                                    if (std::exchange(is_first, false)) {
                                      held.set_value();
                                      release.get_future().wait();
                                      return;
                                    }
                                    for (auto& action : actions) {
                                      committed.push_back(std::move(action));
                                    }
                                  },
                                  [this](const std::string& what) { failure_ = what; }});
      thread.push(Effects{{job_row()}, {}});
      held.get_future().wait();
      for (auto& batch : batches) {
        thread.push(std::move(batch));
      }
      release.set_value();
    }
    return committed;
  }

  fs::path folder_;
  std::string failure_;
};

TEST_F(StoreThreadTest, AWatchersFirstAnswerLeavesLaterEventsToTheirOwnSteps) {
  const SendEvents query{1, 7, summary(), 1, 3};
  const auto actions =
      commit_together({{{event_row(1), event_row(2), event_row(3)}, {}},
                       {{}, {query}},
                       {{event_row(4)}, {Send{1, msg::JobUpdate{7, summary(), {}, {}}}}}});
  ASSERT_EQ(actions.size(), 2U);
  const auto& update = std::get<msg::JobUpdate>(std::get<Send>(actions[0]).message);
  EXPECT_EQ(update.id, 7U);
  ASSERT_EQ(update.events.size(), 2U);
  EXPECT_EQ(update.events[0].seq, 2U);
  EXPECT_EQ(update.events[1].seq, 3U);
}

TEST_F(StoreThreadTest, EventsAreSentInMessagesThatStayBounded) {
  Effects effects;
  constexpr std::uint64_t kEvents = 1201;
  for (std::uint64_t seq = 1; seq <= kEvents; ++seq) {
    effects.rows.emplace_back(event_row(seq));
  }
  effects.actions.emplace_back(SendEvents{1, 7, summary(), 0, kEvents});
  std::uint64_t next = 1;
  for (const auto& action : commit_together({effects})) {
    const auto& update = std::get<msg::JobUpdate>(std::get<Send>(action).message);
    EXPECT_LE(update.events.size(), 500U);
    for (const auto& event : update.events) {
      EXPECT_EQ(event.seq, next++);
    }
  }
  EXPECT_EQ(next, kEvents + 1);
}

TEST_F(StoreThreadTest, AWatcherThatHasSeenEverythingGetsTheStateAlone) {
  const auto actions = commit_together({{{event_row(1)}, {SendEvents{1, 7, summary(), 1, 1}}}});
  ASSERT_EQ(actions.size(), 1U);
  EXPECT_TRUE(std::get<msg::JobUpdate>(std::get<Send>(actions[0]).message).events.empty());
}

TEST_F(StoreThreadTest, AnUnknownModelVersionIsRefused) {
  const auto actions = commit_together({{{}, {SendModels{1, 7, kJob, Round{3}, ""}}}});
  ASSERT_EQ(actions.size(), 1U);
  const auto& reply = std::get<msg::Reply>(std::get<Send>(actions[0]).message);
  EXPECT_EQ(std::get<Refusal>(reply.body).code, "model_unknown");
}

TEST_F(StoreThreadTest, ARowThatCannotBeWrittenStopsItBeforeAnythingIsSaid) {
  const Effects broken{
      {PartRow{kJob, SiteId::literal("nowhere"), Enrolment::offered, "", 0, 0, 0, 0, false}},
      {Send{1, msg::JobClosed{kJob, ""}}}};
  EXPECT_TRUE(commit_together({broken}).empty());
  EXPECT_FALSE(failure_.empty());
}

}  // namespace
}  // namespace entente::broker
