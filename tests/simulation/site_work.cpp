// What a site does beside talking: its trainers, its files and its transfers.
#include <fmt/format.h>

#include "common/domain/measures.h"
#include "tests/simulation/fake_training.h"
#include "tests/simulation/site_host.h"
#include "tests/simulation/trace_text.h"

namespace entente::simulation {
namespace {

constexpr std::uint32_t kSteps = 4;

TaskFailure failure_of(const std::string& code, bool transient) {
  return {{code, "the trainer: " + code, "", Scope::site}, transient};
}

}  // namespace

// Does something to the trainer after `pause`, unless it has been stopped by then.
void SiteHost::of_trainer(agent::TrainerId id, Millis pause, std::function<void(Trainer&)> what) {
  world_.timeline.after(pause, [this, life = life_, id, what = std::move(what)] {
    const auto found = trainers_.find(id);
    if (life == life_ && is_alive() && found != trainers_.end()) {
      what(found->second);
    }
  });
}

void SiteHost::carry_out(const agent::effect::StartTrainer& effect) {
  trainers_.emplace(effect.trainer, Trainer{effect.job, std::nullopt, false});
  const auto pause = world_.random.between(Millis(100), Millis(5000));
  of_trainer(effect.trainer, pause,
             [this, id = effect.trainer](Trainer&) { decide(agent::event::TrainerPrepared{id}); });
}

void SiteHost::carry_out(const agent::effect::RunTask& effect) {
  const auto found = trainers_.find(effect.trainer);
  if (found == trainers_.end()) {
    return;
  }
  const auto& order = effect.order;
  if (world_.trace.is_on) {
    world_.say(plan_.id.str(), "runs {}", text_of(order.key));
  }
  promises_.on_run(plan_.id, order);
  ++runs_[{order.key.kind, order.key.round}];
  found->second.order = order;
  found->second.own = effect.own_of ? handed_out(*effect.own_of) : effect.own;
  found->second.hangs = always_hangs_ || world_.random.chance(plan_.hangs);
  if (found->second.hangs) {
    return;
  }
  const auto id = effect.trainer;
  const auto whole = world_.random.between(Millis(200), plan_.training_max);
  const bool has_no_own = effect.own_of && !found->second.own;
  if (has_no_own || (order.key.attempt == 1 && world_.random.chance(plan_.fails))) {
    auto failure = has_no_own ? failure_of("own_missing", false) : failure_of("device_busy", true);
    of_trainer(id, whole / 2, [this, id, failure = std::move(failure)](Trainer& trainer) {
      trainer.order.reset();
      decide(agent::event::TrainerRefused{id, failure});
    });
    return;
  }
  if (world_.random.chance(plan_.dies)) {
    of_trainer(id, whole / 2, [this, id](Trainer&) {
      trainers_.erase(id);
      decide(agent::event::TrainerGone{id, failure_of("trainer_died", true)});
    });
    return;
  }
  train(id, whole / kSteps, kSteps);
}

void SiteHost::train(agent::TrainerId id, Millis step, std::uint32_t steps_left) {
  of_trainer(id, step, [this, id, step, steps_left](Trainer& trainer) {
    if (steps_left == 0) {
      const auto order = *std::exchange(trainer.order, std::nullopt);
      deliver(id, order, trainer.own);
      return;
    }
    const auto life = life_;
    decide(agent::event::TrainerProgressed{id, {kSteps - steps_left, kSteps, "examples"}});
    if (life != life_) {
      return;  // died of it
    }
    train(id, step, steps_left - 1);
  });
}

void SiteHost::deliver(agent::TrainerId id, const TaskOrder& order,
                       const std::optional<BlobId>& own) {
  const auto& key = order.key;
  if (key.kind == TaskKind::initialize) {
    outputs_[key] = initial_model(order.seed);
  } else if (key.kind == TaskKind::train) {
    outputs_[key] =
        trained_update({*order.model, own, order.control}, order.seed, key.round, plan_.id);
  } else if (key.kind == TaskKind::predict) {
    outputs_[key] = predicted_outputs(*order.model, *order.inputs, own, plan_.id);
  }
  const auto steps = order.steps != 0 ? order.steps : 10;
  agent::event::TrainerFinished finished{id, examples_at(plan_.id), steps, {{"loss", 0.5}}};
  if (key.kind == TaskKind::evaluate) {
    finished.sums = evaluation_sums(plan_.id, key.round);
    finished.metrics = metrics_from(finished.sums);
  }
  if (key.kind == TaskKind::statistics) {
    finished.sums = counted(plan_.id, order.ranges);
  }
  if (key.kind == TaskKind::statistics || key.kind == TaskKind::predict) {
    finished.metrics.clear();
  }
  decide(finished);
}

void SiteHost::carry_out(const agent::effect::StopTrainer& effect) {
  trainers_.erase(effect.trainer);
}

// The file is in the blob store before the core hears of it, and stays if the process dies between.
void SiteHost::carry_out(const agent::effect::StoreOutput& effect) {
  const auto pause = world_.random.between(Millis(1), Millis(50));
  world_.timeline.after(pause, [this, life = life_, effect] {
    const auto& key = effect.key;
    if (life != life_ || !is_alive()) {
      return;
    }
    const auto output = outputs_.extract(key);
    if (output.empty()) {
      decide(agent::event::OutputLost{
          key, {{"contract_violated", "no result file", "", Scope::site}, false}});
      return;
    }
    agent::event::OutputStored stored{key, output.mapped(), kBlobBytes};
    if (effect.update.encoding == "topk") {
      stored.blob = sparse_update(output.mapped(), effect.residual);
      stored.residual = residual_after(stored.blob);
      disk_.blobs.insert(*stored.residual);
    }
    if (!effect.own.tensors.empty()) {
      stored.own = own_after(stored.blob);
      disk_.blobs.insert(*stored.own);
    }
    disk_.blobs.insert(stored.blob);
    later(Millis(2), stored);
  });
}

std::optional<BlobId> SiteHost::handed_out(const JobId& job) const {
  const auto found = disk_.handed_out.find(job);
  return found == disk_.handed_out.end() ? std::nullopt : std::optional(found->second);
}

void SiteHost::carry_out(const agent::effect::HandOut& effect) {
  disk_.handed_out[effect.job] = effect.own;
}

void SiteHost::carry_out(const agent::effect::RemoveWorkFolder& effect) {
  std::erase_if(outputs_, [&](const auto& entry) { return entry.first.job == effect.job; });
}

std::shared_ptr<Transfer> SiteHost::transfer_of(const BlobId& blob) {
  auto transfer = std::make_shared<Transfer>();
  transfer->peer = identity_.path();
  transfer->blob = blob;
  transfer->is_wanted = [this, life = life_] { return life == life_ && is_alive(); };
  transfer->is_reachable = [this] { return network_.reaches(*this); };
  transfer->has_blob = [this, blob] { return disk_.blobs.contains(blob); };
  return transfer;
}

void SiteHost::carry_out(const agent::effect::Download& effect) {
  auto transfer = transfer_of(effect.blob);
  transfer->on_moved = [this, blob = effect.blob](std::uint64_t done, std::uint64_t total) {
    decide(agent::event::DownloadMoved{blob, done, total});
  };
  transfer->on_ended = [this, blob = effect.blob](const std::optional<Refusal>& refusal) {
    if (world_.trace.is_on) {
      world_.say(plan_.id.str(), "download {} {}", blob.short_hex(),
                 refusal ? refusal->code : "done");
    }
    if (!refusal) {
      disk_.blobs.insert(blob);
    }
    decide(agent::event::DownloadEnded{blob, refusal});
  };
  downloads_[effect.blob] = transfer;
  transfers_.start(std::move(transfer));
}

void SiteHost::carry_out(const agent::effect::Upload& effect) {
  auto transfer = transfer_of(effect.blob);
  transfer->is_upload = true;
  transfer->is_poisoned = world_.random.chance(plan_.poisons);
  transfer->on_moved = [this, key = effect.key](std::uint64_t done, std::uint64_t total) {
    decide(agent::event::UploadMoved{key, done, total});
  };
  transfer->on_ended = [this, key = effect.key](const std::optional<Refusal>& refusal) {
    if (world_.trace.is_on) {
      world_.say(plan_.id.str(), "upload {} {}", text_of(key), refusal ? refusal->code : "done");
    }
    decide(agent::event::UploadEnded{key, refusal});
  };
  uploads_[effect.key] = transfer;
  transfers_.start(std::move(transfer));
}

void SiteHost::carry_out(const agent::effect::StopDownload& effect) {
  if (const auto found = downloads_.find(effect.blob); found != downloads_.end()) {
    found->second->is_stopped = true;
  }
}

void SiteHost::carry_out(const agent::effect::StopUpload& effect) {
  if (const auto found = uploads_.find(effect.key); found != uploads_.end()) {
    found->second->is_stopped = true;
  }
}

void SiteHost::carry_out(const agent::effect::RemoveBlob& effect) {
  disk_.blobs.erase(effect.blob);
}

}  // namespace entente::simulation
