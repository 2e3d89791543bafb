#include "broker/core/leftovers.h"

#include <algorithm>

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

// Its update is a part of a version already: kept for its row alone (buffering.h).
bool is_in_a_version(const Job& job, const Task& task) {
  const auto round = job.rounds.find(round_of(task.row));
  return task.row.state == TaskState::done && task.row.merged_in != 0 &&
         round != job.rounds.end() && round->second.state == RoundState::done;
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

bool is_kept(const State& state, const BlobId& model) {
  return std::any_of(state.jobs.begin(), state.jobs.end(), [&model](const auto& entry) {
    const auto& rounds = entry.second.rounds;
    return std::any_of(rounds.begin(), rounds.end(), [&model](const auto& round) {
      return round.second.model == model && !round.second.model_removed;
    });
  });
}

void drop_updates(Step& step, const Job& merged, Round round) {
  for (const auto& [key, task] : merged.tasks) {
    if (!is_merged(key.kind) || !task.row.result.blob || task.row.state != TaskState::done ||
        round_of(task.row) != round) {
      continue;
    }
    const auto& blob = *task.row.result.blob;
    const bool named_elsewhere =
        std::any_of(step.state.jobs.begin(), step.state.jobs.end(), [&](const auto& entry) {
          const Job& job = entry.second;
          const bool is_model = std::any_of(job.rounds.begin(), job.rounds.end(),
                                            [&](const auto& r) { return r.second.model == blob; });
          return is_model ||
                 std::any_of(job.tasks.begin(), job.tasks.end(), [&](const auto& other) {
                   return &other.second != &task && !is_in_a_version(job, other.second) &&
                          (other.second.row.result.blob == blob ||
                           (other.second.announced && other.second.announced->blob == blob));
                 });
        });
    if (!named_elsewhere && !is_brought(step.state, blob)) {
      step.act(DropBlob{blob});
    }
  }
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
  if (job.spec().keep == Keep::all) {
    return;
  }
  const auto best = best_round(job);
  const RoundRow* newest = nullptr;
  for (const auto& [number, round] : job.rounds) {
    newest = round.model ? &round : newest;
  }
  for (auto& [number, round] : job.rounds) {
    if (!round.model || round.model_removed || &round == newest || number == best ||
        awaits_evaluation(job, round) || is_trained_from(job, number)) {
      continue;
    }
    round.model_removed = true;
    step.save(round);
    if (!is_kept(step.state, *round.model) && !is_brought(step.state, *round.model) &&
        !has_twin(step.state, job)) {
      step.act(DropBlob{*round.model});
    }
  }
}

}  // namespace entente::broker
