#include "site-agent/service/trainer_pool.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <system_error>

#include "tests/unit/agent_service/temp_folder.h"

namespace entente::agent {
namespace {

class TrainerPools : public testing::Test {
 protected:
  TempFolder folder_;
  TrainerPoolConfig config_{folder_.path() / "trainers", 2, 1};
};

TEST_F(TrainerPools, HaveSoManyPlacesForAllTheirAgents) {
  TrainerPool one(config_);
  TrainerPool other(config_);  // an open file of its own, as another agent has
  const auto first = one.running.take();
  const auto second = other.running.take();
  EXPECT_TRUE(first && second);
  EXPECT_FALSE(one.running.take());
  EXPECT_FALSE(other.running.take());
}

TEST_F(TrainerPools, GiveNobodyTheSamePlaceTwice) {
  TrainerPool pool(config_);
  const auto first = pool.running.take();
  const auto second = pool.running.take();
  EXPECT_TRUE(first && second);
  EXPECT_FALSE(pool.running.take());
}

TEST_F(TrainerPools, GetAPlaceBackWhenItsHolderLetsGo) {
  TrainerPool one(config_);
  TrainerPool other(config_);
  auto first = one.running.take();
  const auto second = one.running.take();
  auto moved = std::move(first);
  EXPECT_FALSE(other.running.take()) << "moving it gives nothing back";
  moved.reset();
  EXPECT_TRUE(other.running.take());
}

TEST_F(TrainerPools, CountWarmPlacesApart) {
  TrainerPool pool(config_);
  const auto first = pool.running.take();
  const auto second = pool.running.take();
  const auto warm = pool.warm.take();
  EXPECT_TRUE(warm);
  EXPECT_FALSE(pool.warm.take());
}

TEST_F(TrainerPools, MayHaveNoWarmPlaceAtAll) {
  config_.warm = 0;
  TrainerPool pool(config_);
  EXPECT_FALSE(pool.warm.take());
}

TEST_F(TrainerPools, GetThePlacesOfAKilledAgentBack) {
  std::array<int, 2> told{};
  ASSERT_EQ(::pipe(told.data()), 0);
  const pid_t agent = ::fork();
  if (agent == 0) {
    TrainerPool pool(config_);
    const auto first = pool.running.take();
    const auto second = pool.running.take();
    const char word = first && second ? 'y' : 'n';
    (void)!::write(told[1], &word, 1);
    while (true) {
      ::pause();
    }
  }
  char word = 0;
  ASSERT_EQ(::read(told[0], &word, 1), 1);
  EXPECT_EQ(word, 'y');
  TrainerPool pool(config_);
  EXPECT_FALSE(pool.running.take());
  ::kill(agent, SIGKILL);
  ::waitpid(agent, nullptr, 0);
  EXPECT_TRUE(pool.running.take());
  ::close(told[0]);
  ::close(told[1]);
}

TEST_F(TrainerPools, SayWhichFileCannotBeOpened) {
  folder_.write("trainers", "a file, no folder");
  try {
    const TrainerPool pool(config_);
    ADD_FAILURE() << "it has opened places in a file";
  } catch (const std::system_error& error) {
    EXPECT_NE(std::string(error.what()).find("trainers"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace entente::agent
