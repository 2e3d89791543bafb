// The wall clock of the broker and of every site jumps, by an hour or by a year, forwards or
// backwards, in the middle of a round or while they are down. Leases, stall windows and deadlines
// go by the monotonic clock: the job completes, nobody is given up, the model is the same.
//
// Certificates are the one thing that may care. Here they are good for years on either side, so
// that a jump does not reach their ends; wrong_peers_test.cpp has those that are not.
#include <gmock/gmock.h>

#include <chrono>

#include "tests/support/clock_shift.h"
#include "tests/support/consortium.h"
#include "tests/support/wait.h"

namespace entente::integration {
namespace {

using std::chrono::hours;
using std::chrono::seconds;

constexpr int kKitAgeDays = 2 * 365;
constexpr hours kYear{365 * 24};

class ClockJump : public testing::TestWithParam<hours> {
 protected:
  ClockJump() {
    EXPECT_TRUE(consortium_.stop("broker").success());
    for (const auto* name : {"broker", "north", "south"}) {
      consortium_.set_environment(name, clock_.environment());
    }
    consortium_.start_broker();
    consortium_.add_site("north");
    consortium_.add_site("south");
    consortium_.wait_for_sites(2);
    undisturbed_ = consortium_.model_hash(consortium_.complete({}));
  }

  // Submits a job and stops it where north is about to train round 1.
  std::string begin_round_1() {
    consortium_.hold("north", "train-1");
    auto job = consortium_.submit({});
    (void)consortium_.wait_until_held("north", "train-1");
    return job;
  }

  void expect_undisturbed(const std::string& job) {
    const auto ended = consortium_.wait_for_end(job);
    ASSERT_EQ(ended["state"], "completed") << ended.dump(2);
    EXPECT_EQ(consortium_.model_hash(job), undisturbed_);
    for (const auto& event : consortium_.events(job)) {
      EXPECT_NE(event["kind"], "task_lost") << event.dump();
      EXPECT_NE(event["kind"], "task_failed") << event.dump();
    }
  }

  Consortium consortium_{kKitAgeDays};
  ClockShift clock_{consortium_.folder() / "clock.plan"};
  std::string undisturbed_;
};

TEST_P(ClockJump, InARoundExpiresNothing) {
  const auto job = begin_round_1();
  clock_.jump_to(GetParam());
  // A command that the broker answers from after the jump.
  EXPECT_EQ(consortium_.ask({"job", "show", job})["state"], "running");
  consortium_.release("north", "train-1");
  expect_undisturbed(job);
  EXPECT_EQ(count(consortium_.log("broker"), "session_lost"), 0U);
  clock_.jump_to(seconds(0));  // and back, between two jobs
  expect_undisturbed(consortium_.submit({}));
}

TEST_P(ClockJump, WhileBrokerAndSitesAreDownExpiresNothing) {
  const auto job = begin_round_1();
  for (const auto* name : {"broker", "north", "south"}) {
    consortium_.kill(name);
  }
  clock_.jump_to(GetParam());
  for (const auto* name : {"broker", "north", "south"}) {
    consortium_.start(name);
  }
  consortium_.release("north", "train-1");
  expect_undisturbed(job);
}

std::string name_of(const testing::TestParamInfo<hours>& jump) {
  return std::string(jump.param.count() < 0 ? "Back" : "On") +
         (abs(jump.param) == kYear ? "AYear" : "AnHour");
}

INSTANTIATE_TEST_SUITE_P(By, ClockJump, testing::Values(hours(1), hours(-1), kYear, -kYear),
                         name_of);

}  // namespace
}  // namespace entente::integration
