#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <utility>

#include "common/base/check.h"
#include "common/domain/brought_files.h"
#include "common/domain/seeds.h"
#include "common/domain/site_tensors.h"
#include "common/domain/update_encodings.h"
#include "site-agent/core/agent_core.h"

namespace entente::agent {
namespace {

std::vector<BlobId> blobs_of(const SiteState& state) {
  std::vector<BlobId> blobs;
  for (const auto& blob : {state.residual, state.own}) {
    if (blob) {
      blobs.push_back(*blob);
    }
  }
  return blobs;
}

}  // namespace

// What the task starts from: training from the state of an earlier round, an evaluation from that
// of its own round. Null when there is none.
const SiteState* AgentCore::state_for(const Job& job, const TaskKey& key) const {
  const auto later = key.kind == TaskKind::evaluate ? job.states.upper_bound(key.round)
                                                    : job.states.lower_bound(key.round);
  return later == job.states.begin() ? nullptr : &std::prev(later)->second;
}

// As long as the update of that round has no verdict, nobody knows what the task starts from.
bool AgentCore::must_await_verdict(const Job& job, const TaskKey& key) const {
  const SiteState* state = key.kind == TaskKind::initialize ? nullptr : state_for(job, key);
  return job.keeps_own && state != nullptr && !state->settled;
}

// Where only the encoding depends on the state, training need not wait for it: the result stays
// where the trainer wrote it.
void AgentCore::store_output(Task& task) {
  const TaskKey& key = task.order.key;
  const Job& job = jobs_.at(key.job);
  const JobSpec& spec = job.promise.spec;
  const auto model = resolve_model(spec.model);
  ENTENTE_CHECK(model.has_value());  // it was checked before the promise
  effect::StoreOutput store{key, model->layout, {}, {}, 0, std::nullopt};
  if (key.kind == TaskKind::predict) {
    store.layout = outputs_layout(spec);
  }
  if (key.kind == TaskKind::train) {
    store.layout = update_layout(spec, model->layout);
    store.own = site_layout(spec, model->layout);
    store.update = spec.update;
    store.rounding_seed = rounding_seed(task.order.seed);
    if (const SiteState* before = state_for(job, key); before != nullptr) {
      if (!before->settled) {
        task.stage = Stage::trained;
        return;
      }
      store.residual = before->residual;
    }
  }
  task.stage = Stage::storing;
  ++outputs_being_stored_;
  effects_.push_back(std::move(store));
}

void AgentCore::keep_state(SiteState state) {
  Job& job = jobs_.at(state.job);
  effects_.push_back(effect::SaveSiteState{state});
  const auto [place, is_first] = job.states.emplace(state.round, state);
  if (!is_first) {
    for (const BlobId& blob : blobs_of(std::exchange(place->second, std::move(state)))) {
      remove_unless_used(blob);
    }
  }
}

// The broker has accepted the update, or it counts for nothing.
void AgentCore::settle_state(const TaskKey& key, bool accepted) {
  const auto found = jobs_.find(key.job);
  if (found == jobs_.end() || key.kind != TaskKind::train) {
    return;
  }
  Job& job = found->second;
  const auto place = job.states.find(key.round);
  const bool is_sent_again = std::any_of(outbox_.begin(), outbox_.end(), [&](const auto& entry) {
    const TaskKey& other = entry.first;
    return other.job == key.job && other.kind == key.kind && other.round == key.round;
  });
  if (place == job.states.end() || is_sent_again) {
    return;
  }
  if (accepted) {
    place->second.settled = true;
    effects_.push_back(effect::SaveSiteState{place->second});
    hand_out(job, place->second);
    drop_old_states(job, key.round);
  } else {
    drop_state(job, key.round);
  }
  for (Task& task : tasks_) {
    if (task.stage == Stage::trained && task.order.key.job == key.job) {
      store_output(task);
    }
  }
}

// Two stay: should the broker lose the newest update, its round is trained again from the state
// before. And those that an open evaluation of an earlier round is about.
void AgentCore::drop_old_states(Job& job, Round newest) {
  std::vector<Round> rounds;
  for (const auto& [round, state] : job.states) {
    if (round < newest) {
      rounds.push_back(round);
    }
  }
  if (rounds.empty()) {
    return;
  }
  rounds.pop_back();
  for (const Round round : rounds) {
    const bool is_wanted = std::any_of(tasks_.begin(), tasks_.end(), [&](const Task& task) {
      const TaskKey& key = task.order.key;
      const SiteState* used = key.kind == TaskKind::evaluate && key.job == job.promise.job
                                  ? state_for(job, key)
                                  : nullptr;
      return used != nullptr && used->round == round;
    });
    if (!is_wanted) {
      drop_state(job, round);
    }
  }
}

void AgentCore::drop_state(Job& job, Round round) {
  const auto node = job.states.extract(round);
  ENTENTE_CHECK(!node.empty());
  effects_.push_back(effect::DropSiteState{node.mapped().job, round});
  for (const BlobId& blob : blobs_of(node.mapped())) {
    remove_unless_used(blob);
  }
}

// A control variate alone is of no use to anybody. At a start it is done again: the process may
// have died before it was.
void AgentCore::hand_out(const Job& job, const SiteState& state) {
  const TrainSpec& train = job.promise.spec.train;
  if (state.own && (train.personal || !train.exclude.empty() || !train.private_tensors.empty())) {
    effects_.push_back(effect::HandOut{state.job, *state.own});
  }
}

// At the start: a state that nobody will settle any more, or whose files are gone.
void AgentCore::check_states() {
  for (auto& [id, job] : jobs_) {
    std::vector<Round> dropped;
    for (auto& [round, state] : job.states) {
      const bool is_awaited =
          std::any_of(outbox_.begin(), outbox_.end(), [&, wanted = round](const auto& entry) {
            return entry.first.job == state.job && entry.first.round == wanted &&
                   entry.first.kind == TaskKind::train;
          });
      const auto lose = [&, at = round](std::optional<BlobId>& blob, std::string_view what) {
        if (!blob || stored_.contains(*blob)) {
          return false;
        }
        blob.reset();
        warn("site_state_missing", fmt::format("what round {} has {}", at, what), id.str());
        return true;
      };
      const bool lost_residual =
          lose(state.residual, "left out is gone from the disk and will not be sent");
      const bool lost_own = lose(state.own,
                                 "left at this site is gone from the disk; its tensors start again "
                                 "from the job's model");
      if ((!state.residual && !state.own) || (!state.settled && !is_awaited)) {
        dropped.push_back(round);
      } else if (lost_residual || lost_own) {
        effects_.push_back(effect::SaveSiteState{state});
      }
    }
    for (const Round round : dropped) {
      drop_state(job, round);
    }
    const auto newest = std::find_if(job.states.rbegin(), job.states.rend(),
                                     [](const auto& entry) { return entry.second.settled; });
    if (newest != job.states.rend()) {
      hand_out(job, newest->second);
    }
  }
}

bool AgentCore::is_site_state(const BlobId& blob) const {
  return std::any_of(jobs_.begin(), jobs_.end(), [&](const auto& entry) {
    const auto& states = entry.second.states;
    return std::any_of(states.begin(), states.end(), [&](const auto& state) {
      return state.second.residual == blob || state.second.own == blob;
    });
  });
}

}  // namespace entente::agent
