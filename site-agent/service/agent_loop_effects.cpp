#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <exception>
#include <system_error>
#include <zmq.hpp>

#include "common/base/check.h"
#include "common/blob/file.h"
#include "common/domain/strategy_kinds.h"
#include "common/runtime/failpoint.h"
#include "common/runtime/log.h"
#include "common/runtime/system_clock.h"
#include "common/wire/control_codec.h"
#include "site-agent/journal/ledger.h"
#include "site-agent/service/agent_loop.h"
#include "site-agent/service/output_store.h"

namespace entente::agent {
namespace {

namespace fs = std::filesystem;

TaskFailure fault_at_site(const std::string& code, const std::string& what,
                          const std::string& hint) {
  return {{code, what, hint, Scope::site}, true};
}

bool is_promise(const msg::Control& message) {
  const auto* reply = std::get_if<msg::JobReply>(&message);
  return reply != nullptr && !reply->decline;
}

// The messages that make or keep a promise, for the failpoint walk.
void reach_before(const msg::Control& message) {
  if (is_promise(message)) {
    ENTENTE_FAILPOINT("agent.promise.before");
  } else if (std::holds_alternative<msg::ResultAnnounce>(message)) {
    ENTENTE_FAILPOINT("agent.announce.before");
  }
}

void reach_after(const msg::Control& message) {
  if (is_promise(message)) {
    ENTENTE_FAILPOINT("agent.promise.sent");
  } else if (std::holds_alternative<msg::ResultAnnounce>(message)) {
    ENTENTE_FAILPOINT("agent.announce.sent");
  }
}

}  // namespace

void AgentLoop::carry_out(const effect::Dial&) {
  parts_.dialer.post([&route = parts_.route, &inbox = inbox_] {
    try {
      (void)inbox.push(Dialed{route.open(Plane::control)});
    } catch (const std::exception& error) {
      (void)inbox.push(ThreadFailed{error.what()});
    }
  });
}

void AgentLoop::carry_out(const effect::HangUp&) { session_.reset(); }

// A full queue means that the broker does not read: as good as gone.
void AgentLoop::carry_out(const effect::Send& effect) {
  if (!session_) {
    return;
  }
  reach_before(effect.message);
  const wire::Bytes bytes = wire::encode(effect.message);
  net::Frames frames{zmq::message_t(bytes.data(), bytes.size()), std::nullopt};
  if (!session_->send(std::move(frames))) {
    const auto reason = session_->ended();
    end_session(
        reason ? *reason
               : Refusal{"broker_stalled", "the broker takes no more messages", {}, Scope::broker});
  }
  reach_after(effect.message);
}

contract::Prepare AgentLoop::prepare_command(const effect::StartTrainer& effect) const {
  contract::Prepare prepare;
  prepare.spec = effect.spec;
  const DatasetConfig* train = find_dataset(effect.spec.train.dataset);
  ENTENTE_CHECK(train != nullptr);
  prepare.train_dataset = *train;
  if (const DatasetConfig* evaluate = find_dataset(effect.evaluate_dataset)) {
    prepare.evaluate_dataset = *evaluate;
  }
  prepare.threads = parts_.config.trainer.threads_per_slot;
  prepare.device = parts_.config.trainer.device;
  prepare.loss_before = needs_loss_before(effect.spec.strategy);
  prepare.control = has_control(effect.spec.strategy);
  return prepare;
}

void AgentLoop::carry_out(const effect::StartTrainer& effect) {
  const auto program = parts_.config.trainer.program_for(effect.spec.train.trainer);
  if (!program) {
    free_place_.reset();
    decide(event::TrainerGone{effect.trainer, {program.error(), false}});
    return;
  }
  const auto& predict = effect.spec.predict;
  std::error_code unreadable;
  if (predict && predict->own && !fs::exists(handed_out(*predict->own), unreadable)) {
    free_place_.reset();
    decide(event::TrainerGone{
        effect.trainer,
        {{"own_missing", fmt::format("job {} has left nothing at this site", predict->own->str()),
          "predict at the sites that took part in it, or leave predict.own out", Scope::site},
         false}});
    return;
  }
  try {
    TrainerLaunch launch;
    launch.program = *program;
    launch.work_folder = work_folder(effect.job);
    launch.log_file = parts_.config.data_dir / "logs" / ("trainer-" + effect.job.str() + ".log");
    launch.threads = parts_.config.trainer.threads_per_slot;
    fs::create_directories(launch.work_folder);
    const auto started = trainers_.emplace(
        effect.trainer, Trainer{.job = effect.job, .process = TrainerProcess(launch)});
    started.first->second.running = std::exchange(free_place_, std::nullopt);
    started.first->second.process.command(prepare_command(effect));
  } catch (const std::system_error& error) {
    free_place_.reset();
    decide(event::TrainerGone{
        effect.trainer,
        fault_at_site("trainer_not_started",
                      fmt::format("the site cannot start its trainer: {}", error.what()),
                      "check the trainers in the site's agent.toml")});
  }
}

void AgentLoop::carry_out(const effect::RunTask& effect) {
  const auto trainer = trainers_.find(effect.trainer);
  if (trainer == trainers_.end()) {
    free_place_.reset();
    return;  // its end is already on the way to the core
  }
  if (!trainer->second.running) {
    trainer->second.running = std::exchange(free_place_, std::nullopt);
  }
  trainer->second.warm.reset();
  const TaskOrder& order = effect.order;
  const std::string output = output_file(order.key).string();
  const auto path_of = [this](const std::optional<BlobId>& blob) {
    return blob ? parts_.blobs.path(*blob).string() : std::string();
  };
  const std::string model = path_of(order.model);
  const std::string own = path_of(effect.own);
  TrainerProcess& process = trainer->second.process;
  log::info("task_started", fmt::format("round {}: {}", order.key.round, to_string(order.key.kind)),
            {{"job", order.key.job.str()}});
  switch (order.key.kind) {
    case TaskKind::initialize:
      process.command(contract::Initialize{order.seed, output});
      return;
    case TaskKind::train:
      process.command(contract::Train{order.key.round, order.seed, model, output, order.steps, own,
                                      effect.keeps_own ? own_file(output).string() : std::string(),
                                      path_of(order.control)});
      ENTENTE_FAILPOINT("agent.train.started");
      return;
    case TaskKind::evaluate:
      process.command(contract::Evaluate{model, own});
      return;
    case TaskKind::statistics:
      process.command(contract::Statistics{effect.cell_min, order.ranges});
      return;
    case TaskKind::predict: {
      const auto& from = effect.own_of;
      process.command(contract::Predict{model, path_of(order.inputs), output,
                                        from ? handed_out(*from).string() : std::string()});
      return;
    }
  }
}

void AgentLoop::carry_out(const effect::StopTrainer& effect) { trainers_.erase(effect.trainer); }

void AgentLoop::carry_out(const effect::SeekPlace&) {
  place_sought_at_ = std::max(system_now().monotonic, no_place_before_);
}

void AgentLoop::carry_out(const effect::LeavePlace&) {
  place_sought_at_.reset();
  free_place_.reset();
}

void AgentLoop::carry_out(const effect::RestTrainer& effect) {
  const auto trainer = trainers_.find(effect.trainer);
  if (trainer == trainers_.end()) {
    return;  // its end is already on the way to the core
  }
  trainer->second.running.reset();
  no_place_before_ = system_now().monotonic + kPlaceSoughtEvery;
  trainer->second.warm = parts_.pool->warm.take();
  if (!trainer->second.warm) {
    decide(event::WarmPlacesFull{effect.trainer});
  }
}

void AgentLoop::carry_out(const effect::StoreOutput& effect) {
  parts_.disk.post(
      [effect, file = output_file(effect.key), &blobs = parts_.blobs, &inbox = inbox_] {
        (void)inbox.push(store_output(effect, file, own_file(file), blobs));
      });
}

// A second name for the same bytes, under the job's name: nothing is copied.
void AgentLoop::carry_out(const effect::HandOut& effect) {
  const fs::path file = handed_out(effect.job);
  const fs::path folder = file.parent_path();
  const fs::path fresh = file.string() + ".new";
  try {
    fs::create_directories(folder);
    fs::remove(fresh);
    fs::create_hard_link(parts_.blobs.path(effect.own), fresh);
    // The blob itself, which the next round starts from: to be read and copied, not written.
    fs::permissions(fresh, fs::perms::owner_read);
    fs::rename(fresh, file);
    sync_folder(folder);
    ENTENTE_FAILPOINT("agent.own.handed_out");
  } catch (const std::system_error& error) {
    log::warning("own_not_handed_out",
                 fmt::format("what this site has of its own in the job cannot be put into {}: {}",
                             file.string(), error.what()),
                 {{"job", effect.job.str()}});
  }
}

void AgentLoop::carry_out(const effect::RemoveWorkFolder& effect) {
  std::error_code error;
  fs::remove_all(work_folder(effect.job), error);
  if (error) {
    log::warning("work_folder_kept",
                 fmt::format("the job's work folder cannot be removed: {}", error.message()),
                 {{"job", effect.job.str()}});
  }
}

void AgentLoop::carry_out(const effect::Download& effect) {
  parts_.transfers.download(effect.blob);
}
void AgentLoop::carry_out(const effect::StopDownload& effect) {
  parts_.transfers.stop_download(effect.blob);
}
void AgentLoop::carry_out(const effect::Upload& effect) {
  parts_.transfers.upload(effect.key, effect.blob);
}
void AgentLoop::carry_out(const effect::StopUpload& effect) {
  parts_.transfers.stop_upload(effect.key);
}

// A blob that stays is found again at the next start and removed then.
void AgentLoop::carry_out(const effect::RemoveBlob& effect) {
  try {
    parts_.blobs.remove(effect.blob);
    ENTENTE_FAILPOINT("agent.blob.removed");
  } catch (const std::system_error& error) {
    log::warning("blob_kept", fmt::format("blob {} cannot be removed: {}", effect.blob.short_hex(),
                                          error.what()));
  }
}

void AgentLoop::carry_out(const effect::Note& effect) {
  const log::Level level = effect.warning ? log::Level::warning : log::Level::info;
  if (effect.job.empty()) {
    log::write(level, effect.event, effect.sentence);
  } else {
    log::write(level, effect.event, effect.sentence, {{"job", effect.job}});
  }
}

void AgentLoop::carry_out(const effect::RecordDeparture& effect) {
  if (effect.departure != Departure::accepted && effect.departure != Departure::refused) {
    return;
  }
  const auto& [order, result] = effect.entry;
  std::vector<std::string> metrics;
  for (const auto& [name, value] : result.metrics) {
    metrics.push_back(name);
  }
  log::info("update_sent",
            fmt::format("round {}: {} bytes of {} have left the house and were {}", order.key.round,
                        result.blob_bytes, to_string(order.key.kind), to_string(effect.departure)),
            {{"job", order.key.job.str()},
             {"round", std::to_string(order.key.round)},
             {"kind", std::string(to_string(order.key.kind))},
             {"blob", result.blob ? result.blob->short_hex() : ""},
             {"bytes", std::to_string(result.blob_bytes)},
             {"examples", std::to_string(result.examples)},
             {"metrics", fmt::format("{}", fmt::join(metrics, " "))}});
}

}  // namespace entente::agent
