// Jobs that rest and go on, and jobs that follow others.
#include <gmock/gmock.h>
#include <signal.h>

#include "tests/support/consortium.h"
#include "tests/support/wait.h"

namespace entente::integration {
namespace {

using nlohmann::json;
using testing::HasSubstr;

// North and south have a slot each.
class JobLife : public testing::Test {
 protected:
  JobLife() {
    consortium_.add_site("north");
    consortium_.add_site("south");
    consortium_.wait_for_sites(2);
  }

  json show(const std::string& job) { return consortium_.ask({"job", "show", job}); }
  std::string explain(const std::string& job) {
    return consortium_.entente({"job", "explain", job}).out;
  }
  void expect_completed(const std::string& job) {
    const auto ended = consortium_.wait_for_end(job);
    EXPECT_EQ(ended["state"], "completed") << ended.dump(2);
  }
  std::size_t count_events(const std::string& job, const std::string& kind) {
    const auto events = consortium_.events(job);
    return static_cast<std::size_t>(std::count_if(
        events.begin(), events.end(), [&](const json& event) { return event["kind"] == kind; }));
  }

  Consortium consortium_;
};

TEST_F(JobLife, APausedJobStopsAtItsSitesOutlivesKill9AndGoesOnToTheSameModel) {
  consortium_.hold("south", "train-1");
  const auto job = consortium_.submit({});
  const auto trainer = consortium_.wait_until_held("south", "train-1");
  wait_until("the broker has north's update",
             [&] { return show(job)["sites"][0]["updates_accepted"] == 1; });

  const auto paused = consortium_.entente({"job", "pause", job, "--reason", "a new scanner"});
  EXPECT_EQ(paused.code, 0) << paused.err;
  EXPECT_THAT(paused.out, HasSubstr("go on with: entente job resume stripes-1"));
  wait_until("south has stopped its trainer", [&] { return ::kill(trainer, 0) != 0; });
  consortium_.kill("broker");
  consortium_.start_broker();
  consortium_.wait_for_sites(2);
  EXPECT_EQ(show(job)["state"], "paused");
  EXPECT_THAT(explain(job), HasSubstr("is paused by coordinator/alice: a new scanner"));
  EXPECT_EQ(consortium_.ask({"job", "list", "--state", "paused", "--mine"}).size(), 1U);

  consortium_.release("south", "train-1");
  const auto other = consortium_.complete({});  // of the same spec, on the slots that came free
  EXPECT_EQ(show(job)["state"], "paused");
  const auto resumed = consortium_.entente({"job", "resume", job});
  EXPECT_EQ(resumed.code, 0) << resumed.err;
  expect_completed(job);
  EXPECT_EQ(consortium_.model_hash(job), consortium_.model_hash(other));
  EXPECT_EQ(count(consortium_.log("north"), "round 1: train is finished  job=stripes-1"), 1U)
      << "north trained round 1 again";
  EXPECT_EQ(count_events(job, "paused"), 1U);
  EXPECT_EQ(count_events(job, "resumed"), 1U);
}

TEST_F(JobLife, APreemptibleJobGivesWayAfterItsRoundAndGoesOnByItself) {
  consortium_.hold("north", "train-1");
  JobFile bulk;
  bulk.name = "bulk";
  bulk.extra = "preemptible = true\npriority = -10\n";
  const auto first = consortium_.submit(bulk);
  (void)consortium_.wait_until_held("north", "train-1");
  const auto urgent = consortium_.submit({});
  EXPECT_THAT(explain(first), HasSubstr("gives way to stripes-1 after this round"));
  EXPECT_THAT(explain(urgent), HasSubstr("bulk-1 must end its round and gives way"));
  consortium_.release("north", "train-1");
  expect_completed(urgent);
  expect_completed(first);
  EXPECT_EQ(count_events(first, "queued"), 1U);
  EXPECT_EQ(consortium_.model_hash(first), consortium_.model_hash(consortium_.complete(bulk)));
}

TEST_F(JobLife, AJobFollowsAnotherFromItsBestModel) {
  consortium_.hold("north", "train-1");
  const auto first = consortium_.submit({});
  (void)consortium_.wait_until_held("north", "train-1");
  JobFile file;
  file.name = "tuned";
  file.extra = "after = [\"" + first + "\"]\ninit = \"model:" + first + "@best\"\n";
  const auto second = consortium_.submit(file);
  EXPECT_THAT(explain(second), HasSubstr("waits until stripes-1 has completed"));
  consortium_.release("north", "train-1");
  expect_completed(first);
  expect_completed(second);
  const auto best = consortium_.ask({"model", "show", first + "@best"});
  const auto start = consortium_.ask({"model", "show", second + "@0"});
  EXPECT_EQ(start["blob"], best["blob"]);
  EXPECT_EQ(start["origin"], first + "@" + best["version"].dump());
  EXPECT_EQ(count_events(second, "initialized"), 1U);
}

TEST_F(JobLife, AJobFailsWithTheOneThatItWasToFollow) {
  consortium_.hold("north", "train-1");
  const auto first = consortium_.submit({});
  JobFile file;
  file.extra = "after = [\"" + first + "\"]\n";
  const auto second = consortium_.submit(file);
  EXPECT_EQ(consortium_.entente({"job", "abort", first, "--reason", "bad labels"}).code, 0);
  const auto ended = consortium_.wait_for_end(second);
  EXPECT_EQ(ended["state"], "failed");
  EXPECT_THAT(ended["reason"].get<std::string>(), HasSubstr("which it was to follow, has been "
                                                            "aborted"));
  const auto refused = consortium_.entente({"job", "submit", consortium_.write_job(file).string()});
  EXPECT_EQ(refused.code, 1);
  EXPECT_THAT(refused.err, HasSubstr("take it out of after"));
}

}  // namespace
}  // namespace entente::integration
