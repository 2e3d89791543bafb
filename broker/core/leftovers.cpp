#include "broker/core/leftovers.h"

#include <algorithm>
#include <utility>

#include "broker/core/cross_evaluation.h"
#include "broker/core/early_stop.h"
#include "broker/core/evaluations.h"
#include "broker/core/files.h"
#include "broker/core/kinds.h"

namespace entente::broker {
namespace {

// Whether another job of the same spec may come to the same bytes at any moment. What it names then
// must not be dropped in between: such blobs are left to the next start's clean-up.
bool has_twin(const State& state, const Job& of) {
  return std::any_of(state.jobs.begin(), state.jobs.end(), [&of](const auto& entry) {
    const Job& job = entry.second;
    return &job != &of && !job.ended() && job.row.spec_digest == of.row.spec_digest;
  });
}

// What it has sent is a version, or a part of one, already: kept for its row alone.
bool is_in_a_version(const Job& job, const Task& task) {
  const auto round = job.rounds.find(round_of(task.row));
  return task.row.state == TaskState::done && round != job.rounds.end() &&
         round->second.state == RoundState::done;
}

// What the task has sent or is sending, as far as that is still to be used.
std::optional<BlobId> upload_of(const Job& job, const Task& task) {
  if (task.announced) {
    return task.announced->blob;
  }
  return is_in_a_version(job, task) ? std::nullopt : task.row.result.blob;
}

// Whether an open task trains from that version.
bool is_trained_from(const Job& job, Round version) {
  const auto begin = job.tasks.lower_bound({job.id(), version + 1, TaskKind::train, SiteId(), 0});
  return std::any_of(begin, job.tasks.end(), [version](const auto& entry) {
    return entry.first.round == version + 1 && entry.first.kind == TaskKind::train &&
           is_open(entry.second);
  });
}

}  // namespace

void drop_unnamed(Step& step, std::set<BlobId> blobs) {
  const auto spare = [&blobs](const std::optional<BlobId>& named) {
    if (named) {
      blobs.erase(*named);
    }
  };
  for (const auto& [id, job] : step.state.jobs) {
    if (blobs.empty()) {
      return;
    }
    for (const auto& [number, round] : job.rounds) {
      spare(round.model_removed ? std::nullopt : round.model);
      spare(job.ended() ? std::nullopt : round.server_state);
    }
    for (const auto& [key, task] : job.tasks) {
      spare(upload_of(job, task));
    }
    std::erase_if(blobs, [&job](const BlobId& blob) { return is_brought(job, blob); });
  }
  for (const auto& blob : blobs) {
    step.act(DropBlob{blob});
  }
}

void drop_updates(Step& step, const Job& merged, Round round) {
  std::set<BlobId> updates;
  for (const auto& [key, task] : merged.tasks) {
    if (is_merged(key.kind) && task.row.result.blob && task.row.state == TaskState::done &&
        round_of(task.row) == round) {
      updates.insert(*task.row.result.blob);
    }
  }
  drop_unnamed(step, std::move(updates));
}

std::set<BlobId> updates_at_hand(const Job& job) {
  std::set<BlobId> blobs;
  for (const auto& [key, task] : job.tasks) {
    if (const auto blob = upload_of(job, task)) {
      blobs.insert(*blob);
    }
  }
  return blobs;
}

void drop_server_state(Step& step, const Job& job, const RoundRow& round) {
  if (round.server_state && !has_twin(step.state, job)) {
    step.act(DropBlob{*round.server_state});
  }
}

void drop_last_server_state(Step& step, const Job& job) {
  for (auto round = job.rounds.rbegin(); round != job.rounds.rend(); ++round) {
    if (round->second.server_state) {
      drop_server_state(step, job, round->second);
      return;
    }
  }
}

void drop_models(Step& step, Job& job) {
  const bool keeps_all = job.spec().keep == Keep::all;
  const auto best = keeps_all ? std::nullopt : best_round(job);
  const RoundRow* newest = nullptr;
  for (const auto& [number, round] : job.rounds) {
    newest = round.model ? &round : newest;
  }
  for (auto& [number, round] : job.rounds) {
    const bool is_kept = keeps_all || &round == newest || number == best ||
                         awaits_evaluation(job, round) || is_trained_from(job, number);
    if (!round.model || round.model_removed || (is_kept && !is_taken_back(job, round))) {
      continue;
    }
    round.model_removed = true;
    step.save(round);
    if (!has_twin(step.state, job)) {
      drop_unnamed(step, {*round.model});
    }
  }
}

}  // namespace entente::broker
