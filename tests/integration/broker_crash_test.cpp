// The broker is killed at some moment of a job and started again: the job completes, with the very
// model of an undisturbed run, and counts nobody's update twice.
#include <gmock/gmock.h>

#include <map>

#include "tests/support/consortium.h"
#include "tests/support/relay.h"
#include "tests/support/wait.h"

namespace entente::integration {
namespace {

using nlohmann::json;
using testing::HasSubstr;

class BrokerCrash : public testing::Test {
 protected:
  void add_sites() {
    consortium_.add_site("north");
    consortium_.add_site("south");
    consortium_.wait_for_sites(2);
  }

  void crash_and_restart() {
    consortium_.kill("broker");
    consortium_.start_broker();
  }

  void hold_both(const std::string& task) {
    consortium_.hold("north", task);
    consortium_.hold("south", task);
  }

  void expect_undisturbed(const std::string& job, const JobFile& file = {}) {
    const auto ended = consortium_.wait_for_end(job);
    ASSERT_EQ(ended["state"], "completed") << ended.dump(2);
    std::map<std::string, int> accepted;
    for (const auto& event : consortium_.events(job)) {
      if (event["kind"] == "update_accepted" && event["round"] != 0) {
        ++accepted[event["site"].get<std::string>() + "@" + event["round"].dump()];
      }
    }
    EXPECT_EQ(accepted.size(), 2U * static_cast<std::size_t>(file.rounds));
    for (const auto& [update, times] : accepted) {
      EXPECT_EQ(times, 1) << update;
    }
    for (const auto& site : ended["sites"]) {
      EXPECT_EQ(site["updates_accepted"], file.rounds);
    }
    EXPECT_EQ(consortium_.model_hash(job), consortium_.model_hash(consortium_.complete(file)));
  }

  Consortium consortium_;
};

TEST_F(BrokerCrash, WhileSitesCheckTheirDataLosesNoSubmittedJob) {
  add_sites();
  hold_both("prepare");
  const auto job = consortium_.submit({});
  (void)consortium_.wait_until_held("north", "prepare");
  (void)consortium_.wait_until_held("south", "prepare");
  crash_and_restart();
  EXPECT_EQ(consortium_.ask({"job", "show", job})["state"], "matching");
  consortium_.release("north", "prepare");
  consortium_.release("south", "prepare");
  expect_undisturbed(job);
}

TEST_F(BrokerCrash, InTheMiddleOfARoundGoesOnWithThatRoundAndItsWatchers) {
  add_sites();
  hold_both("train-2");
  auto watch =
      consortium_.begin({"job", "submit", consortium_.write_job({}).string(), "--watch", "--json"});
  const auto north = consortium_.wait_until_held("north", "train-2");
  const auto south = consortium_.wait_until_held("south", "train-2");
  const auto job = consortium_.ask({"job", "show", "stripes-1"});
  EXPECT_EQ(job["round"], 1);
  EXPECT_EQ(job["rounds_done"][2]["state"], "training");

  crash_and_restart();
  // The sites train on: the same trainers, not new ones.
  EXPECT_EQ(consortium_.wait_until_held("north", "train-2"), north);
  EXPECT_EQ(consortium_.wait_until_held("south", "train-2"), south);
  consortium_.release("north", "train-2");
  consortium_.release("south", "train-2");

  const auto watched = watch.finish();
  EXPECT_EQ(watched.code, 0) << watched.err;
  EXPECT_THAT(watched.err, HasSubstr("the connection is gone"));
  for (const auto* kind : {"submitted", "started", "completed"}) {
    EXPECT_EQ(count(watched.out, std::string("\"kind\":\"") + kind), 1U) << watched.out;
  }
  EXPECT_EQ(count(watched.out, "\"kind\":\"round_merged"), 2U) << watched.out;
  expect_undisturbed("stripes-1");
}

TEST_F(BrokerCrash, BetweenTwoUpdatesOfARoundKeepsTheFirst) {
  add_sites();
  consortium_.hold("south", "train-1");
  const auto job = consortium_.submit({});
  wait_until("the broker has north's update", [&] {
    const auto shown = consortium_.ask({"job", "show", job});
    return shown["sites"].size() == 2 && shown["sites"][0]["updates_accepted"] == 1;
  });
  crash_and_restart();
  consortium_.release("south", "train-1");
  expect_undisturbed(job);
  EXPECT_EQ(count(consortium_.log("north"), "round 1: train  job=stripes-1"), 1U)
      << "north trained round 1 again";
}

TEST_F(BrokerCrash, WhileAFinishedUpdateWaitsAtItsSiteGetsItAfterwards) {
  add_sites();
  hold_both("train-1");
  const auto job = consortium_.submit({});
  (void)consortium_.wait_until_held("north", "train-1");
  (void)consortium_.wait_until_held("south", "train-1");
  consortium_.kill("broker");
  consortium_.release("north", "train-1");
  consortium_.release("south", "train-1");
  for (const auto* site : {"north", "south"}) {
    wait_until("the update is finished",
               [&] { return count(consortium_.log(site), "round 1: train is finished") == 1; });
  }
  consortium_.start_broker();
  expect_undisturbed(job);
}

TEST_F(BrokerCrash, InTheMiddleOfAnUploadResumesIt) {
  Relay relay(consortium_.port());
  consortium_.add_site("north");
  SiteSetup behind_relay;
  behind_relay.broker = relay.address();
  consortium_.add_site("south", behind_relay);
  consortium_.wait_for_sites(2);

  JobFile large;  // an update of 2.2 MB: three chunks
  large.rounds = 1;
  large.hidden = 8192;
  constexpr std::uint64_t kUpdateBytes = 8192 * (64 + 1 + 3) * 4;
  relay.stall_after(kUpdateBytes * 7 / 10);
  const auto job = consortium_.submit(large);
  wait_until("south's upload stalls", [&] { return relay.is_stalling(); });
  EXPECT_EQ(consortium_.ask({"job", "show", job})["sites"][1]["updates_accepted"], 0);
  const auto connections_before = relay.bytes_up().size();
  const auto partial = consortium_.folder() / "broker/data/blobs/partial";
  wait_until("a part of the update is on the broker's disk", [&] {
    for (const auto& entry : std::filesystem::directory_iterator(partial)) {
      if (entry.file_size() >= (1U << 20)) {
        return true;
      }
    }
    return false;
  });

  consortium_.kill("broker");
  relay.resume();
  consortium_.start_broker();
  const auto ended = consortium_.wait_for_end(job);
  ASSERT_EQ(ended["state"], "completed") << ended.dump(2);
  std::uint64_t bytes_after = 0;
  const auto connections = relay.bytes_up();
  for (auto i = connections_before; i < connections.size(); ++i) {
    bytes_after += connections[i];
  }
  EXPECT_LT(bytes_after, kUpdateBytes * 7 / 10) << "the upload started from the beginning";
  expect_undisturbed(job, large);
}

TEST_F(BrokerCrash, AgainAndAgainStillGivesTheSameModel) {
  add_sites();
  JobFile job;
  job.rounds = 4;
  const auto id = consortium_.submit(job);
  // Whenever a further event shows, in the middle of whatever follows it.
  std::size_t seen = 0;
  int crashes = 0;
  for (bool ended = false; !ended && crashes < 4; ++crashes) {
    auto watch = consortium_.begin({"job", "watch", id, "--json"});
    wait_until("the job moves", [&] { return count(watch.output(), "\n") > seen; });
    crash_and_restart();
    seen = count(watch.output(), "\n");
    ended = consortium_.ask({"job", "show", id})["state"] == "completed";
  }
  EXPECT_GE(crashes, 2) << "the job was over before it could be disturbed";
  expect_undisturbed(id, job);
}

}  // namespace
}  // namespace entente::integration
