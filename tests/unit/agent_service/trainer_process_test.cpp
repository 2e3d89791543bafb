#include "site-agent/service/trainer_process.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>

#include <sstream>

#include "tests/unit/agent_service/temp_folder.h"

namespace entente::agent {
namespace {

using ::testing::HasSubstr;

// Trainers here are shell scripts: the contract is all that the agent relies on.
class TrainerScript : public ::testing::Test {
 protected:
  TrainerProcess start(const std::string& script) const {
    const auto program = folder_.write("trainer.sh", "#!/bin/sh\n" + script);
    std::filesystem::permissions(program, std::filesystem::perms::owner_all);
    return TrainerProcess({program, folder_.path(), folder_.path() / "trainer-lung-1.log", 3});
  }

  // What the trainer says until it has answered or is gone.
  static TrainerProcess::Heard listen(TrainerProcess& trainer) {
    TrainerProcess::Heard all;
    constexpr int kDeadlineMs = 20'000;
    while (!all.gone) {
      pollfd item{trainer.stdout_fd(), POLLIN, 0};
      if (::poll(&item, 1, kDeadlineMs) != 1) {
        ADD_FAILURE() << "the trainer says nothing";
        break;
      }
      TrainerProcess::Heard heard = trainer.read();
      for (auto& reply : heard.replies) {
        all.replies.push_back(std::move(reply));
      }
      all.gone = heard.gone;
      if (!all.replies.empty() && !std::holds_alternative<contract::Progress>(all.replies.back())) {
        break;
      }
    }
    return all;
  }

  [[nodiscard]] std::string log() const {
    std::ostringstream text;
    text << std::ifstream(folder_.path() / "trainer-lung-1.log").rdbuf();
    return text.str();
  }

  // A line of the contract, quoted for the shell.
  static std::string reply(std::uint64_t id, contract::ReplyBody body) {
    std::string line = contract::encode(contract::Reply{id, std::move(body)});
    line.pop_back();
    return "echo '" + line + "'\n";
  }

  TempFolder folder_;
};

TEST_F(TrainerScript, AnswersWithProgressAndOneResult) {
  auto trainer = start("read line\n" + reply(1, contract::Progress{5, 10, "examples"}) +
                       reply(1, contract::Result{10, 2, {{"loss", 0.5}}}) + "read line\n");
  trainer.command(contract::Evaluate{"model"});
  const auto heard = listen(trainer);
  ASSERT_EQ(heard.replies.size(), 2U);
  EXPECT_EQ(std::get<contract::Progress>(heard.replies[0]).done, 5U);
  EXPECT_EQ(std::get<contract::Result>(heard.replies[1]).examples, 10U);
}

TEST_F(TrainerScript, GetsACleanEnvironmentAndItsOwnLog) {
  ::setenv("ENTENTE_SECRET", "do not pass on", 1);
  auto trainer = start("env >&2\nread line\n" + reply(1, contract::Result{}));
  trainer.command(contract::Evaluate{"model"});
  (void)listen(trainer);
  EXPECT_THAT(log(), HasSubstr("OMP_NUM_THREADS=3\n"));
  EXPECT_THAT(log(), HasSubstr("OPENBLAS_NUM_THREADS=3\n"));
  EXPECT_THAT(log(), ::testing::Not(HasSubstr("ENTENTE_SECRET")));
}

// Its HOME is its work folder, where libpq would look in vain.
TEST_F(TrainerScript, IsToldWhereTheAgentsUserKeepsPasswordsOfDatabases) {
  ::setenv("HOME", folder_.path().c_str(), 1);
  ::unsetenv("PGPASSFILE");
  ::setenv("PGSSLROOTCERT", "/etc/hospital.crt", 1);
  std::filesystem::create_directory(folder_.path() / ".postgresql");
  const auto certificate = folder_.write(".postgresql/postgresql.crt", "a certificate");
  ::setenv("PGSERVICEFILE", "/etc/services.conf", 1);
  auto trainer = start("env >&2\nread line\n" + reply(1, contract::Result{}));
  trainer.command(contract::Evaluate{"model"});
  (void)listen(trainer);
  EXPECT_THAT(log(), HasSubstr("PGPASSFILE=" + folder_.path().string() + "/.pgpass\n"));
  EXPECT_THAT(log(), HasSubstr("PGSSLCERT=" + certificate.string() + "\n"));
  EXPECT_THAT(log(), HasSubstr("PGSSLROOTCERT=/etc/hospital.crt\n"));
  EXPECT_THAT(log(), ::testing::Not(HasSubstr("PGSSLKEY"))) << "there is none";
  EXPECT_THAT(log(), HasSubstr("PGSERVICEFILE=/etc/services.conf\n"));
}

// It cannot repeat the id of a line that it could not read.
TEST_F(TrainerScript, MayAnswerAnUnreadableCommandWithoutItsId) {
  auto trainer =
      start("read line\n" + reply(0, contract::Error{"contract_violated", "no such key", false}) +
            "read line\n");
  trainer.command(contract::Evaluate{"model"});
  const auto heard = listen(trainer);
  ASSERT_EQ(heard.replies.size(), 1U);
  EXPECT_EQ(std::get<contract::Error>(heard.replies[0]).message, "no such key");
}

TEST_F(TrainerScript, ThatIsKilledIsReportedWithTheSignalAndMayBeTriedAgain) {
  auto trainer = start("read line\nkill -9 $$\n");
  trainer.command(contract::Evaluate{"model"});
  const auto heard = listen(trainer);
  ASSERT_TRUE(heard.gone);
  EXPECT_EQ(heard.gone->reason.code, "trainer_died");
  EXPECT_EQ(
      heard.gone->reason.message,
      "the trainer was killed by signal 9 (Killed): the machine ran out of memory, most likely");
  EXPECT_TRUE(heard.gone->transient);
}

TEST_F(TrainerScript, ThatExitsIsReportedWithItsCode) {
  auto trainer = start("exit 3\n");
  const auto heard = listen(trainer);
  ASSERT_TRUE(heard.gone);
  EXPECT_EQ(heard.gone->reason.message, "the trainer exited with code 3");
}

struct Violation {
  std::string name;
  std::string script;
};

class ContractViolation : public TrainerScript, public ::testing::WithParamInterface<Violation> {};

TEST_P(ContractViolation, EndsTheTrainer) {
  auto trainer = start(GetParam().script);
  trainer.command(contract::Evaluate{"model"});
  const auto heard = listen(trainer);
  ASSERT_TRUE(heard.gone);
  EXPECT_EQ(heard.gone->reason.code, "contract_violated");
  EXPECT_FALSE(heard.gone->transient);
}

INSTANTIATE_TEST_SUITE_P(
    Stream, ContractViolation,
    ::testing::Values(
        Violation{"Garbage", "read line\necho hello\nread line\n"},
        Violation{"AnAnswerToNoCommand",
                  "read line\necho '{\"id\":7,\"type\":\"result\"}'\nread line\n"},
        Violation{"ALineWithoutEnd", "read line\nyes | tr -d '\\n' | head -c 2000000\nread line\n"},
        Violation{"AClosedStreamOfALivingProcess", "read line\nexec >&-\nread line\n"}),
    [](const auto& instance) { return instance.param.name; });

TEST_F(TrainerScript, ThatDoesNotExistIsAnError) {
  EXPECT_THROW(TrainerProcess({folder_.path() / "nothing", folder_.path(),
                               folder_.path() / "trainer-lung-1.log", 1}),
               std::system_error);
}

}  // namespace
}  // namespace entente::agent
