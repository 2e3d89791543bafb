// Asks a trainer one command after the other and waits for each answer, within bounds: for the
// people of a site, whose agent asks in the same way but never waits.
#pragma once

#include <cstdint>
#include <optional>
#include <variant>

#include "common/base/refusal.h"
#include "common/base/time.h"
#include "common/runtime/child_process.h"
#include "site-agent/contract/contract.h"
#include "site-agent/service/trainer_process.h"

namespace entente::agent {

struct Patience {
  Millis silence = std::chrono::seconds{60};  // without a line from the trainer
  Millis command = std::chrono::minutes{10};  // from a command to its answer
};

class TrainerDialogue {
 public:
  // Throws std::system_error when the program cannot be started.
  TrainerDialogue(const TrainerLaunch& launch, Patience patience)
      : process_(launch), patience_(patience) {}

  struct Answer {
    std::uint64_t reports = 0;       // of progress
    contract::Progress last_report;  // the last of them
    bool overdone = false;           // one of them said that more is done than there is
    std::variant<contract::Result, contract::Error> end;

    [[nodiscard]] const contract::Error* error() const {
      return std::get_if<contract::Error>(&end);
    }
  };
  // Refuses with "trainer_silent", "trainer_slow", "trainer_died" or "contract_violated"; after
  // that, it is over.
  [[nodiscard]] Expected<Answer> ask(contract::CommandBody command);

  void close_input() { process_.close_stdin(); }
  // Waits for the trainer's end. Refuses with "contract_violated" one that says something or runs
  // on.
  [[nodiscard]] Expected<ExitStatus> await_end();

 private:
  // Waits for something to read or to write, or `deadline`. False when it is past.
  [[nodiscard]] bool wait_until(std::chrono::steady_clock::time_point deadline);

  TrainerProcess process_;
  Patience patience_;
  std::optional<TrainerProcess::Heard> last_words_;  // of a trainer that has ended
};

}  // namespace entente::agent
