#include "site-agent/service/agent_loop.h"

#include <algorithm>
#include <zmq.hpp>

#include "common/base/check.h"
#include "common/runtime/failpoint.h"
#include "common/runtime/log.h"
#include "common/runtime/system_clock.h"
#include "common/wire/control_codec.h"
#include "common/wire/job_codec.h"

namespace entente::agent {
namespace {

// Messages taken before trainers and timers get their turn again.
constexpr int kMessagesPerTurn = 64;

// What an ended session still holds arrives within this; see ClientSession::receive.
constexpr Millis kLastWords{200};

// How long a stop waits for finished updates to reach the disk.
constexpr Millis kLastOutputsMax{700};

constexpr Millis kSleepMax = std::chrono::minutes(10);

std::span<const std::byte> bytes_of(const zmq::message_t& message) {
  return {message.data<std::byte>(), message.size()};
}

}  // namespace

AgentLoop::AgentLoop(AgentCore core, Inbox& inbox, LoopParts parts)
    : core_(std::move(core)), inbox_(inbox), parts_(parts) {}

std::optional<std::string> AgentLoop::run(StopSignal& stop, HangupSignal& reread) {
  decide(event::Started{});
  while (!stopped_ && !failure_) {
    wait(stop, reread);
    take_inbox();
    take_messages();
    take_trainers();
    take_place();
    take_time();
  }
  if (stopped_ && !failure_) {
    keep_finished_outputs();
  }
  trainers_.clear();
  free_place_.reset();
  session_.reset();
  return failure_;
}

void AgentLoop::wait(StopSignal& stop, HangupSignal& reread) {
  std::vector<zmq::pollitem_t> items{{nullptr, stop.fd(), ZMQ_POLLIN, 0},
                                     {nullptr, reread.fd(), ZMQ_POLLIN, 0},
                                     {nullptr, inbox_.fd(), ZMQ_POLLIN, 0}};
  if (session_) {
    items.push_back({session_->socket().handle(), 0, ZMQ_POLLIN, 0});
    items.push_back({nullptr, session_->ended_fd(), ZMQ_POLLIN, 0});
  }
  for (const auto& [id, trainer] : trainers_) {
    items.push_back({nullptr, trainer.process.stdout_fd(), ZMQ_POLLIN, 0});
    if (trainer.process.wants_to_write()) {
      items.push_back({nullptr, trainer.process.stdin_fd(), ZMQ_POLLOUT, 0});
    }
  }
  const Monotonic now = system_now().monotonic;
  Millis sleep = kSleepMax;
  for (const auto& at :
       {core_.wake_at(), place_sought_at_, parts_.transfers.close_idle_sessions(now)}) {
    if (at) {
      sleep = std::min(sleep, std::max(*at - now, Millis(0)));
    }
  }
  zmq::poll(items.data(), items.size(), sleep);
  if (reread.take()) {
    read_config_again();
  }
  stopped_ = stop.take() != 0;
  if (stopped_) {
    stop.let_the_next_end_the_process();
  }
}

// An update that a trainer has finished reaches the outbox before a stop, so that nobody has to
// train it again.
void AgentLoop::keep_finished_outputs() {
  if (parts_.disk.finish(kLastOutputsMax)) {
    take_inbox();
  }
}

void AgentLoop::take_inbox() {
  for (Incoming& incoming : inbox_.drain()) {
    if (auto* event = std::get_if<Event>(&incoming)) {
      decide(std::move(*event));
    } else if (auto* dialed = std::get_if<Dialed>(&incoming)) {
      if (dialed->session) {
        session_ = std::move(*dialed->session);
        decide(event::SessionOpened{});
      } else {
        decide(event::DialFailed{dialed->session.error()});
      }
    } else if (const auto* ask = std::get_if<LocalAsk>(&incoming)) {
      take(*ask);
    } else if (auto* config = std::get_if<Reread>(&incoming)) {
      take(std::move(*config));
    } else {
      failure_ = std::get<ThreadFailed>(incoming).what;
    }
  }
}

void AgentLoop::take_messages() {
  for (int taken = 0; session_ && taken < kMessagesPerTurn; ++taken) {
    const auto reason = session_->ended();
    const auto frames = session_->receive(reason ? kLastWords : Millis(0));
    if (frames) {
      take(*frames);
    } else if (reason) {
      end_session(*reason);
    } else {
      return;
    }
  }
}

void AgentLoop::take(const net::Frames& frames) {
  auto message = wire::decode_control(bytes_of(frames.envelope));
  if (!message) {
    log::warning(message.error().code, message.error().message);
    if (message.error().code != "message_unknown") {
      end_session(std::move(message.error()));
    }
    return;
  }
  if (std::holds_alternative<msg::ResultVerdict>(*message)) {
    ENTENTE_FAILPOINT("agent.verdict.received");
  }
  const auto* offer = std::get_if<msg::JobOffer>(&*message);
  if (offer != nullptr) {
    ENTENTE_FAILPOINT("agent.offer.received");
  }
  const bool matches = offer == nullptr || wire::spec_digest(offer->spec) == offer->spec_digest;
  decide(event::Received{std::move(*message), matches});
}

void AgentLoop::take_trainers() {
  std::vector<TrainerId> ids;
  for (const auto& [id, trainer] : trainers_) {
    ids.push_back(id);
  }
  for (const TrainerId id : ids) {
    if (const auto found = trainers_.find(id); found != trainers_.end()) {
      found->second.process.write();
      take_replies(id);
    }
  }
}

void AgentLoop::take_replies(TrainerId id) {
  TrainerProcess::Heard heard = trainers_.at(id).process.read();
  for (contract::ReplyBody& body : heard.replies) {
    const auto trainer = trainers_.find(id);
    if (trainer == trainers_.end()) {
      return;  // stopped by what an earlier reply led to
    }
    if (const auto* progress = std::get_if<contract::Progress>(&body)) {
      decide(event::TrainerProgressed{id, {progress->done, progress->total, progress->unit}});
    } else if (auto* error = std::get_if<contract::Error>(&body)) {
      TaskFailure failure{{std::move(error->code), std::move(error->message), {}, Scope::site},
                          error->transient};
      decide(event::TrainerRefused{id, std::move(failure)});
    } else if (!std::exchange(trainer->second.prepared, true)) {
      decide(event::TrainerPrepared{id});
    } else {
      auto& result = std::get<contract::Result>(body);
      decide(event::TrainerFinished{id, result.examples, result.steps, std::move(result.metrics),
                                    std::move(result.sums)});
    }
  }
  if (heard.gone && trainers_.erase(id) != 0) {
    decide(event::TrainerGone{id, std::move(*heard.gone)});
  }
}

void AgentLoop::take_place() {
  const Monotonic now = system_now().monotonic;
  if (!place_sought_at_ || *place_sought_at_ > now) {
    return;
  }
  place_sought_at_ = now + kPlaceSoughtEvery;
  if (auto place = parts_.pool->running.take()) {
    place_sought_at_.reset();
    free_place_ = std::move(place);
    decide(event::PlaceTaken{});
  }
}

void AgentLoop::take_time() {
  const auto wake_at = core_.wake_at();
  if (wake_at && *wake_at <= system_now().monotonic) {
    decide(event::Woke{});
  }
}

// Rule 2 of ARCHITECTURE.md: commit, then speak. An effect may lead to further events (a trainer
// that cannot be started); they wait until the step is carried out.
void AgentLoop::decide(Event event) {
  events_.push_back(std::move(event));
  if (std::exchange(deciding_, true)) {
    return;
  }
  while (!events_.empty()) {
    const Event next = std::move(events_.front());
    events_.pop_front();
    const Now now = system_now();
    const Effects effects = core_.step(next, now);
    parts_.journal.commit(effects, now.unix_ms);
    for (const Effect& effect : effects) {
      std::visit([this](const auto& it) { carry_out(it); }, effect);
    }
  }
  deciding_ = false;
}

void AgentLoop::end_session(Refusal reason) {
  session_.reset();
  decide(event::SessionEnded{std::move(reason)});
}

const DatasetConfig* AgentLoop::find_dataset(const std::string& name) const {
  const auto& datasets = parts_.config.datasets;
  const auto found = std::find_if(datasets.begin(), datasets.end(),
                                  [&](const DatasetConfig& it) { return it.name == name; });
  return found == datasets.end() ? nullptr : &*found;
}

std::filesystem::path AgentLoop::work_folder(const JobId& job) const {
  return parts_.config.data_dir / "work" / job.str();
}

std::filesystem::path AgentLoop::output_file(const TaskKey& key) const {
  return work_folder(key.job) /
         (std::string(to_string(key.kind)) + "-r" + std::to_string(key.round) + "-a" +
          std::to_string(key.attempt) + ".safetensors");
}

std::filesystem::path AgentLoop::handed_out(const JobId& job) const {
  return parts_.config.data_dir / "own" / (job.str() + ".safetensors");
}

std::filesystem::path AgentLoop::own_file(const std::filesystem::path& output) {
  return output.string() + ".own";
}

}  // namespace entente::agent
