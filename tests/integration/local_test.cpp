// `entente local`: a consortium for trials that starts, stops and leaves nothing behind.
#include <gmock/gmock.h>
#include <signal.h>
#include <unistd.h>

#include <array>

#include "coordinator/process_table.h"
#include "tests/support/command.h"
#include "tests/support/consortium.h"
#include "tests/support/process_probe.h"

namespace entente::integration {
namespace {

using nlohmann::json;
using testing::HasSubstr;

// Local processes outlive whoever starts them, by design. This one kills them when the test ends,
// however it ends: a child that waits for the end of a pipe which only the test holds open.
class Reaper {
 public:
  explicit Reaper(const std::filesystem::path& table) {
    std::array<int, 2> alive{};
    if (::pipe(alive.data()) != 0) {
      throw std::runtime_error("pipe");
    }
    if (::fork() == 0) {
      ::setsid();  // a signal to the test's group must not end this process
      ::close(alive[1]);
      char unused = 0;
      while (::read(alive[0], &unused, 1) > 0) {
      }
      for (const auto& process : cli::read_process_table(table)) {
        if (cli::is_running(process)) {
          ::kill(process.pid, SIGKILL);
        }
      }
      ::_exit(0);
    }
    ::close(alive[0]);
    alive_ = alive[1];
  }
  ~Reaper() { ::close(alive_); }
  Reaper(const Reaper&) = delete;
  Reaper& operator=(const Reaper&) = delete;

 private:
  int alive_ = -1;
};

class Local : public testing::Test {
 protected:
  Outcome entente(std::vector<std::string> arguments) {
    return Command(Consortium::program("entente"), std::move(arguments),
                   {{"PATH", "/usr/bin:/bin"}, {"HOME", folder_.path().string()}},
                   folder_.path() / ("stderr-" + std::to_string(++runs_)))
        .finish();
  }
  Outcome local(const std::string& command, std::vector<std::string> more = {}) {
    std::vector<std::string> arguments{"local", command, "--json", "--dir", home_.string()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return entente(std::move(arguments));
  }
  json up() {
    const auto outcome = local("up", {"--sites", "2"});
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    return json::parse(outcome.out);
  }

  TempFolder folder_;
  std::filesystem::path home_ = folder_.path() / "trial";
  Reaper reaper_{home_ / "processes.json"};
  int runs_ = 0;
};

std::uint16_t port_of(const json& status) {
  const std::string broker = status["broker"];
  return static_cast<std::uint16_t>(std::stoi(broker.substr(broker.rfind(':') + 1)));
}

TEST_F(Local, ConsortiumRunsUntilItIsStoppedAndLeavesNothing) {
  const auto begun = up();
  ASSERT_EQ(begun["processes"].size(), 3U);
  for (const auto& process : begun["processes"]) {
    EXPECT_TRUE(is_alive(process["pid"])) << process;
  }
  EXPECT_EQ(local("status").code, 0);
  const auto again = local("up", {"--sites", "2"});
  EXPECT_EQ(again.code, 1);
  EXPECT_EQ(json::parse(again.err)["error"], "local_running");
  const auto sites = entente({"site", "list", "--json", "--kit", begun["kit"]});
  ASSERT_EQ(sites.code, 0) << sites.err;
  EXPECT_EQ(json::parse(sites.out).size(), 2U);

  const auto stopped = local("down");
  EXPECT_EQ(stopped.code, 0) << stopped.err;
  EXPECT_EQ(json::parse(stopped.out)["stopped"], 3);
  EXPECT_EQ(json::parse(stopped.out)["killed"], json::array());
  for (const auto& process : begun["processes"]) {
    EXPECT_FALSE(is_alive(process["pid"])) << process;
  }
  EXPECT_FALSE(is_listening(port_of(begun)));
  EXPECT_EQ(local("status").code, 1);
}

// So that a hundred of them fit on one machine.
TEST_F(Local, ConsortiumHasLightAgentsThatShareTheirTrainers) {
  constexpr std::uint64_t kAgentBytesMax = 15'000'000;
  const auto outcome = local("up", {"--sites", "6", "--trainers", "3", "--warm", "1"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  for (const auto& process : json::parse(outcome.out)["processes"]) {
    const std::string name = process["name"];
    if (name != "broker") {
      EXPECT_LE(anonymous_bytes(process["pid"]), kAgentBytesMax) << name;
      EXPECT_THAT(read_text(home_ / "sites" / name / "agent.toml"),
                  HasSubstr("{ folder = \"../../trainers\", running = 3, warm = 1 }"));
    }
  }
  EXPECT_TRUE(std::filesystem::exists(home_ / "trainers/running-3"));
  EXPECT_EQ(local("down", {"--purge"}).code, 0);
}

TEST_F(Local, ConsortiumStartsAgainInItsFolder) {
  const auto first = up();
  EXPECT_EQ(local("down").code, 0);
  const auto second = up();
  EXPECT_EQ(second["broker"], first["broker"]);
  EXPECT_EQ(local("down", {"--purge"}).code, 0);
  EXPECT_FALSE(std::filesystem::exists(home_));
}

TEST_F(Local, SitesHaveTheNamesThatTheyAreGiven) {
  EXPECT_EQ(local("up", {"--names", "france,France"}).code, 1);
  EXPECT_EQ(local("up", {"--names", "france,france"}).code, 1);
  const auto begun = local("up", {"--names", "france,italy"});
  ASSERT_EQ(begun.code, 0) << begun.err;
  const auto names = entente({"site", "list", "--kit", json::parse(begun.out)["kit"]}).out;
  EXPECT_THAT(names, HasSubstr("france"));
  EXPECT_THAT(names, HasSubstr("italy"));
  EXPECT_EQ(local("down", {"--purge"}).code, 0);
}

TEST_F(Local, ConsortiumWhoseAgentsCannotStartIsTakenDownAgain) {
  const auto config = folder_.path() / "bad.toml";
  write_text(config, "[polices]\n");
  const auto outcome = local("up", {"--sites", "1", "--site-config", config.string()});
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.err, HasSubstr("polices"));
  for (const auto& process : cli::read_process_table(home_ / "processes.json")) {
    EXPECT_FALSE(cli::is_running(process)) << process.name;
  }
}

}  // namespace
}  // namespace entente::integration
