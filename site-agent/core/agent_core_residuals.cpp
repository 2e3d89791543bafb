#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "common/base/check.h"
#include "common/domain/seeds.h"
#include "common/domain/update_encodings.h"
#include "site-agent/core/agent_core.h"

namespace entente::agent {

// As long as an earlier update of the job has no verdict, nobody knows what this one starts from:
// the result stays where the trainer wrote it.
void AgentCore::store_output(Task& task) {
  const TaskKey& key = task.order.key;
  const Job& job = jobs_.at(key.job);
  effect::StoreOutput store{key, job.promise.spec.model, {}, 0, std::nullopt};
  if (key.kind == TaskKind::train) {
    store.update = job.promise.spec.update;
    store.rounding_seed = rounding_seed(task.order.seed);
    const auto later = job.residuals.lower_bound(key.round);
    if (later != job.residuals.begin()) {
      const Residual& last = std::prev(later)->second;
      if (!last.settled) {
        task.stage = Stage::trained;
        return;
      }
      store.residual = last.blob;
    }
  }
  task.stage = Stage::storing;
  ++outputs_being_stored_;
  effects_.push_back(std::move(store));
}

void AgentCore::keep_residual(const TaskKey& key, const BlobId& blob) {
  Job& job = jobs_.at(key.job);
  const Residual residual{key.job, key.round, blob, false};
  effects_.push_back(effect::SaveResidual{residual});
  const auto [place, is_first] = job.residuals.emplace(key.round, residual);
  if (!is_first) {
    const BlobId earlier = std::exchange(place->second, residual).blob;
    remove_unless_used(earlier);
  }
}

// The broker has accepted the update, or it counts for nothing. After an acceptance two residuals
// stay: should the broker lose the update, this round is trained again from the one before.
void AgentCore::settle_residual(const TaskKey& key, bool accepted) {
  const auto found = jobs_.find(key.job);
  if (found == jobs_.end() || key.kind != TaskKind::train) {
    return;
  }
  Job& job = found->second;
  const auto place = job.residuals.find(key.round);
  const bool is_sent_again = std::any_of(outbox_.begin(), outbox_.end(), [&](const auto& entry) {
    const TaskKey& other = entry.first;
    return other.job == key.job && other.kind == key.kind && other.round == key.round;
  });
  if (place == job.residuals.end() || is_sent_again) {
    return;
  }
  if (accepted) {
    place->second.settled = true;
    effects_.push_back(effect::SaveResidual{place->second});
    while (job.residuals.begin()->first < key.round &&
           std::next(job.residuals.begin())->first < key.round) {
      drop_residual(job, job.residuals.begin()->first);
    }
  } else {
    drop_residual(job, key.round);
  }
  for (Task& task : tasks_) {
    if (task.stage == Stage::trained && task.order.key.job == key.job) {
      store_output(task);
    }
  }
}

void AgentCore::drop_residual(Job& job, Round round) {
  const auto node = job.residuals.extract(round);
  ENTENTE_CHECK(!node.empty());
  effects_.push_back(effect::DropResidual{node.mapped().job, round});
  remove_unless_used(node.mapped().blob);
}

// At the start: a residual that nobody will settle any more, or whose file is gone.
void AgentCore::check_residuals() {
  std::vector<Residual> dropped;
  for (const auto& [id, job] : jobs_) {
    for (const auto& [round, residual] : job.residuals) {
      const bool is_awaited =
          std::any_of(outbox_.begin(), outbox_.end(), [&, wanted = round](const auto& entry) {
            return entry.first.job == residual.job && entry.first.round == wanted &&
                   entry.first.kind == TaskKind::train;
          });
      if (!stored_.contains(residual.blob)) {
        warn("residual_missing",
             fmt::format("what round {} has left out is gone from the disk and will not be sent",
                         round),
             id.str());
        dropped.push_back(residual);
      } else if (!residual.settled && !is_awaited) {
        dropped.push_back(residual);
      }
    }
  }
  for (const Residual& residual : dropped) {
    drop_residual(jobs_.at(residual.job), residual.round);
  }
}

bool AgentCore::is_residual(const BlobId& blob) const {
  return std::any_of(jobs_.begin(), jobs_.end(), [&](const auto& entry) {
    const auto& residuals = entry.second.residuals;
    return std::any_of(residuals.begin(), residuals.end(),
                       [&](const auto& residual) { return residual.second.blob == blob; });
  });
}

}  // namespace entente::agent
