// entente-trainer as an agent sees it: a process that speaks the contract over pipes.
#include <gmock/gmock.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <optional>

#include "common/runtime/child_process.h"
#include "tests/unit/training/stripes_fixture.h"

namespace entente::agent {
namespace {

using contract::Command;
using contract::CommandBody;
using contract::Reply;
using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds kPatience{60};

class TrainerProcess : public StripesFolder {
 protected:
  static ChildOptions options(std::vector<std::string> arguments = {}) {
    ChildOptions options;
    options.program = ENTENTE_TRAINER;
    options.arguments = std::move(arguments);
    options.environment = {{"OMP_NUM_THREADS", "1"}, {"OPENBLAS_NUM_THREADS", "1"}};
    options.pipe_stdin = true;
    options.pipe_stdout = true;
    return options;
  }

  void write(std::string_view text) {
    const auto deadline = Clock::now() + kPatience;
    while (!text.empty()) {
      const auto written = ::write(trainer_.stdin_fd(), text.data(), text.size());
      if (written > 0) {
        text.remove_prefix(static_cast<std::size_t>(written));
      } else if (errno != EAGAIN || !wait_for(trainer_.stdin_fd(), POLLOUT, deadline)) {
        FAIL() << "the trainer takes no commands";
      }
    }
  }

  // The next line of the trainer; nothing when its output has ended.
  std::optional<std::string> read_line() {
    const auto deadline = Clock::now() + kPatience;
    while (true) {
      if (const auto end = pending_.find('\n'); end != std::string::npos) {
        auto line = pending_.substr(0, end);
        pending_.erase(0, end + 1);
        return line;
      }
      char block[4096];
      const auto got = ::read(trainer_.stdout_fd(), block, sizeof block);
      if (got > 0) {
        pending_.append(block, static_cast<std::size_t>(got));
      } else if (got == 0 || errno != EAGAIN || !wait_for(trainer_.stdout_fd(), POLLIN, deadline)) {
        return std::nullopt;
      }
    }
  }

  // The final reply to the command under way; every line before it must be a progress report.
  Reply answer() {
    while (const auto line = read_line()) {
      const auto reply = contract::parse_reply(*line);
      EXPECT_TRUE(reply.has_value()) << *line;
      if (!reply || !std::holds_alternative<contract::Progress>(reply->body)) {
        return reply.value_or(Reply{});
      }
    }
    ADD_FAILURE() << "the trainer has stopped answering";
    return {};
  }

  contract::Result done(std::uint64_t id, const CommandBody& command) {
    write(contract::encode(Command{id, command}));
    const auto reply = answer();
    EXPECT_EQ(reply.id, id);
    const auto* result = std::get_if<contract::Result>(&reply.body);
    EXPECT_NE(result, nullptr);
    return result != nullptr ? *result : contract::Result{};
  }

  contract::Error refused(const std::string& line) {
    write(line);
    const auto reply = answer();
    const auto* error = std::get_if<contract::Error>(&reply.body);
    EXPECT_NE(error, nullptr);
    return error != nullptr ? *error : contract::Error{};
  }

  bool ends_well() {
    const auto status = trainer_.wait_for(kPatience);
    return status && status->success();
  }

  ChildProcess trainer_{options()};

 private:
  static bool wait_for(int fd, short events, Clock::time_point deadline) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
    pollfd entry{fd, events, 0};
    return left > 0 && ::poll(&entry, 1, static_cast<int>(left)) > 0;
  }

  std::string pending_;
};

TEST_F(TrainerProcess, CarriesAJobFromPrepareToStop) {
  EXPECT_EQ(done(1, job()).examples, 200U);
  done(2, contract::Initialize{5, path("model")});
  EXPECT_EQ(done(3, contract::Train{1, 6, path("model"), path("update")}).steps, 26U);
  EXPECT_EQ(done(4, contract::Evaluate{path("model")}).examples, 300U);
  EXPECT_TRUE(std::filesystem::exists(path("update")));
  done(5, contract::Stop{});
  EXPECT_TRUE(ends_well());
}

TEST_F(TrainerProcess, TwoProcessesGiveTheSameBits) {
  std::vector<std::string> updates;
  for (int run = 0; run < 2; ++run) {
    trainer_ = ChildProcess(options());
    done(1, job());
    done(2, contract::Initialize{5, path("model")});
    done(3, contract::Train{1, 6, path("model"), path("update")});
    updates.push_back(bytes_of(path("update")));
  }
  EXPECT_FALSE(updates[0].empty());
  EXPECT_EQ(updates[0], updates[1]);
}

TEST_F(TrainerProcess, RefusesDataThatDoesNotFitAndGoesOn) {
  auto wrong = job();
  wrong.spec.model.input = {3, 32, 32};
  const auto shape = refused(contract::encode(Command{1, wrong}));
  EXPECT_EQ(shape.code, "data_contract_violated");
  EXPECT_THAT(shape.message, testing::HasSubstr("[1, 6, 6]"));
  wrong = job();
  wrong.train_dataset.source = IdxFiles{path("absent.gz"), path("labels")};
  EXPECT_EQ(refused(contract::encode(Command{2, wrong})).code, "dataset_missing");
  EXPECT_EQ(done(3, job()).examples, 200U);
}

TEST_F(TrainerProcess, AnswersWhatIsNotACommandAndGoesOn) {
  EXPECT_EQ(refused("hello\n").code, "contract_violated");
  EXPECT_EQ(refused("\n").code, "contract_violated");
  EXPECT_EQ(refused(R"({"id":1,"type":"reboot"})"
                    "\n")
                .code,
            "contract_violated");
  const auto endless = std::string(3 * contract::kLineBytesMax, 'x') + "\n";
  EXPECT_THAT(refused(endless).message, testing::HasSubstr("longer than"));
  EXPECT_EQ(done(9, job()).examples, 200U);
}

TEST_F(TrainerProcess, EndsWhenItsCommandsEnd) {
  trainer_.close_stdin();
  EXPECT_TRUE(ends_well());
  EXPECT_EQ(read_line(), std::nullopt);
}

TEST_F(TrainerProcess, TellsItsVersionAndRefusesOtherArguments) {
  trainer_ = ChildProcess(options({"--version"}));
  EXPECT_THAT(read_line().value_or(""), testing::StartsWith("entente-trainer "));
  EXPECT_TRUE(ends_well());
  trainer_ = ChildProcess(options({"--train"}));
  const auto status = trainer_.wait_for(kPatience);
  ASSERT_TRUE(status.has_value());
  EXPECT_EQ(status->code, 2);
}

}  // namespace
}  // namespace entente::agent
