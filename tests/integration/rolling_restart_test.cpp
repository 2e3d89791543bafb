// Every process of a consortium is stopped in good order and started again during a job, one after
// the other: nothing is lost, and the model is the one of an undisturbed run.
#include <gmock/gmock.h>
#include <signal.h>

#include "tests/support/consortium.h"
#include "tests/support/wait.h"

namespace entente::integration {
namespace {

class RollingRestart : public testing::Test {
 protected:
  RollingRestart() {
    consortium_.add_site("north");
    consortium_.add_site("south");
    consortium_.wait_for_sites(2);
  }

  void restart(const std::string& process) {
    const auto status = consortium_.stop(process);
    EXPECT_TRUE(status.success()) << process << " " << status.to_string();
    consortium_.start(process);
  }

  Consortium consortium_;
};

TEST_F(RollingRestart, OfAllProcessesDuringAJobChangesNothing) {
  JobFile job;
  job.rounds = 4;
  consortium_.hold("north", "train-2");
  consortium_.hold("south", "train-3");
  consortium_.hold("north", "train-4");
  const auto id = consortium_.submit(job);

  // South has finished round 2 or is about to; north trains.
  const auto trainer = consortium_.wait_until_held("north", "train-2");
  restart("south");
  restart("broker");
  EXPECT_EQ(consortium_.wait_until_held("north", "train-2"), trainer) << "north trains on";
  consortium_.release("north", "train-2");
  (void)consortium_.wait_until_held("south", "train-3");
  restart("north");
  restart("broker");
  consortium_.release("south", "train-3");
  const auto second = consortium_.wait_until_held("north", "train-4");
  restart("north");  // while it trains: round 4 begins again there, as after a crash
  (void)consortium_.wait_until_held("north", "train-4", second);
  consortium_.release("north", "train-4");

  const auto ended = consortium_.wait_for_end(id);
  ASSERT_EQ(ended["state"], "completed") << ended.dump(2);
  for (const auto& site : ended["sites"]) {
    EXPECT_EQ(site["updates_accepted"], job.rounds);
  }
  EXPECT_EQ(consortium_.model_hash(id), consortium_.model_hash(consortium_.complete(job)));
}

// A trainer that is in the middle of its work does not keep an agent from stopping, and a member
// that takes nothing does not keep the broker.
TEST_F(RollingRestart, SecondSignalStopsAProcessAtOnce) {
  for (const auto* process : {"broker", "north"}) {
    // Stopped processes take both signals at the same moment, before they can have drained.
    consortium_.process(process).send_signal(SIGSTOP);
    consortium_.process(process).send_signal(SIGTERM);
    consortium_.process(process).send_signal(SIGINT);
    consortium_.process(process).send_signal(SIGCONT);
    const auto status = consortium_.process(process).wait_for(std::chrono::seconds(8));
    ASSERT_TRUE(status) << process << " does not stop";
    EXPECT_TRUE(status->signal == SIGTERM || status->signal == SIGINT)
        << process << " " << status->to_string();
  }
}

}  // namespace
}  // namespace entente::integration
