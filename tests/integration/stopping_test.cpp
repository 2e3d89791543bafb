// Stopping in good order: processes, and jobs.
#include <gmock/gmock.h>

#include <chrono>

#include "tests/support/consortium.h"
#include "tests/support/process_probe.h"
#include "tests/support/wait.h"

namespace entente::integration {
namespace {

using testing::HasSubstr;

// Generous for a loaded machine, and far below any of the timeouts that could hide a hang.
constexpr std::chrono::seconds kQuick{8};

class Stopping : public testing::Test {
 protected:
  Stopping() {
    consortium_.add_site("north");
    consortium_.add_site("south");
    consortium_.wait_for_sites(2);
  }

  void expect_quick_stop(const std::string& process) {
    const auto begun = std::chrono::steady_clock::now();
    const auto status = consortium_.stop(process);
    EXPECT_TRUE(status.success()) << process << " " << status.to_string();
    EXPECT_LT(std::chrono::steady_clock::now() - begun, kQuick) << process;
  }

  Consortium consortium_;
};

TEST_F(Stopping, EveryProcessEndsQuicklyWithCode0AlsoDuringAJob) {
  consortium_.hold("north", "train-1");
  const auto job = consortium_.submit({});
  const auto trainer = consortium_.wait_until_held("north", "train-1");
  expect_quick_stop("north");
  wait_until("the trainer is gone with its agent", [&] { return !is_alive(trainer); });
  expect_quick_stop("broker");
  EXPECT_FALSE(is_listening(consortium_.port()));
  expect_quick_stop("south");

  for (const auto* process : {"broker", "north", "south"}) {
    consortium_.start(process);
  }
  consortium_.release("north", "train-1");
  EXPECT_EQ(consortium_.wait_for_end(job)["state"], "completed");
}

TEST_F(Stopping, SecondBrokerInTheSameFolderIsRefused) {
  const auto second = consortium_.run(
      "entente-broker",
      {"serve", "--config", (consortium_.folder() / "broker/broker.toml").string()});
  EXPECT_EQ(second.code, 1);
  EXPECT_THAT(second.err, HasSubstr("is in use by another process"));
  EXPECT_EQ(consortium_.ask({"site", "list"}).size(), 2U) << "the first broker was disturbed";
}

TEST_F(Stopping, SecondAgentInTheSameFolderIsRefused) {
  const auto second = consortium_.run(
      "entente-agent",
      {"serve", "--config", (consortium_.site_folder("north") / "agent.toml").string()});
  EXPECT_EQ(second.code, 1);
  EXPECT_THAT(second.err, HasSubstr("is in use by another process"));
}

TEST_F(Stopping, AbortedJobStopsItsTrainersEverywhere) {
  consortium_.hold("north", "train-1");
  consortium_.hold("south", "train-1");
  const auto job = consortium_.submit({});
  const auto north = consortium_.wait_until_held("north", "train-1");
  const auto south = consortium_.wait_until_held("south", "train-1");
  EXPECT_EQ(consortium_.entente({"job", "abort", job, "--reason", "wrong data"}).code, 0);
  wait_until(
      "no trainer runs", [&] { return !is_alive(north) && !is_alive(south); }, kQuick);
  const auto ended = consortium_.ask({"job", "show", job});
  EXPECT_EQ(ended["state"], "aborted");
  EXPECT_THAT(ended["reason"].get<std::string>(), HasSubstr("wrong data"));
  EXPECT_EQ(consortium_.entente({"job", "abort", job}).code, 1);
}

TEST_F(Stopping, AbortReachesASiteThatWasAway) {
  consortium_.hold("north", "train-1");
  const auto job = consortium_.submit({});
  const auto trainer = consortium_.wait_until_held("north", "train-1");
  consortium_.kill("broker");
  consortium_.start_broker();
  // North is not back yet, or just now: either way it hears of the abort.
  EXPECT_EQ(consortium_.entente({"job", "abort", job}).code, 0);
  wait_until("no trainer runs", [&] { return !is_alive(trainer); });
}

}  // namespace
}  // namespace entente::integration
