#include "site-agent/service/trainer_dialogue.h"

#include <fmt/format.h>
#include <poll.h>

#include <algorithm>
#include <array>
#include <utility>

namespace entente::agent {
namespace {

using Clock = std::chrono::steady_clock;

tl::unexpected<Refusal> broken(std::string code, std::string message) {
  return refuse(std::move(code), std::move(message), "docs/trainer-contract.md", Scope::site);
}

double in_seconds(Millis time) { return static_cast<double>(time.count()) / 1000; }

}  // namespace

bool TrainerDialogue::wait_until(Clock::time_point deadline) {
  const auto left = std::chrono::ceil<Millis>(deadline - Clock::now());
  if (left <= Millis{0}) {
    return false;
  }
  std::array<pollfd, 2> items{pollfd{process_.stdout_fd(), POLLIN, 0},
                              pollfd{process_.stdin_fd(), POLLOUT, 0}};
  constexpr Millis kPollMax = std::chrono::hours{1};
  (void)::poll(items.data(), process_.wants_to_write() ? 2 : 1,
               static_cast<int>(std::min(left, kPollMax).count()));
  return true;
}

Expected<TrainerDialogue::Answer> TrainerDialogue::ask(contract::CommandBody command) {
  if (last_words_) {
    return broken(last_words_->gone->reason.code, last_words_->gone->reason.message);
  }
  process_.command(std::move(command));
  const auto begin = Clock::now();
  auto heard_at = begin;
  Answer answer;
  while (true) {
    const auto silence_ends = heard_at + patience_.silence;
    const auto command_ends = begin + patience_.command;
    if (!wait_until(std::min(silence_ends, command_ends))) {
      return silence_ends < command_ends
                 ? broken("trainer_silent", fmt::format("nothing was heard of it for {:.1f} s",
                                                        in_seconds(patience_.silence)))
                 : broken("trainer_slow", fmt::format("no answer came within {:.1f} s",
                                                      in_seconds(patience_.command)));
    }
    process_.write();
    auto heard = process_.read();
    heard_at = heard.replies.empty() ? heard_at : Clock::now();
    bool answered = false;
    for (auto& reply : heard.replies) {
      if (auto* progress = std::get_if<contract::Progress>(&reply)) {
        ++answer.reports;
        answer.overdone = answer.overdone || progress->done > progress->total;
        answer.last_report = std::move(*progress);
        continue;
      }
      answered = true;
      if (auto* error = std::get_if<contract::Error>(&reply)) {
        answer.end = std::move(*error);
      } else {
        answer.end = std::get<contract::Result>(std::move(reply));
      }
    }
    if (heard.gone) {
      heard.replies.clear();
      last_words_ = std::move(heard);
    }
    if (answered) {
      return answer;
    }
    if (last_words_) {
      return broken(last_words_->gone->reason.code, last_words_->gone->reason.message);
    }
  }
}

Expected<ExitStatus> TrainerDialogue::await_end() {
  const auto deadline = Clock::now() + patience_.silence;
  while (!last_words_) {
    if (!wait_until(deadline)) {
      return broken("contract_violated",
                    fmt::format("it runs on for {:.1f} s after it should have ended",
                                in_seconds(patience_.silence)));
    }
    auto heard = process_.read();
    if (heard.gone) {
      last_words_ = std::move(heard);
    }
  }
  if (!last_words_->exit) {
    return broken(last_words_->gone->reason.code, last_words_->gone->reason.message);
  }
  return *last_words_->exit;
}

}  // namespace entente::agent
