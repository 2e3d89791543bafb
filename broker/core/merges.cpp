#include "broker/core/merges.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "broker/core/cohort.h"
#include "broker/core/kinds.h"
#include "broker/core/weights.h"
#include "common/domain/asynchrony.h"
#include "common/domain/strategy_kinds.h"

namespace entente::broker {
namespace {

// The accepted updates that go into a version, by site id; those of one site in the order of its
// tasks.
std::vector<const TaskRow*> accepted_updates(const Job& job, Round version) {
  std::vector<const TaskRow*> updates;
  for (const auto& [key, task] : job.tasks) {
    if (is_merged(key.kind) && task.row.state == TaskState::done && round_of(task.row) == version) {
      updates.push_back(&task.row);
    }
  }
  // By key they are in the order of the rounds that they began with.
  std::ranges::stable_sort(updates, {}, [](const TaskRow* task) { return task->key.site; });
  return updates;
}

// The version that the update is a change of.
Round started_from(const Job& job, const TaskRow& task) {
  return rules_of(job).base(rules_of(job).is_buffered ? task.key.round : round_of(task));
}

double factor_of(const Job& job, const TaskRow& task) {
  const auto& async = job.spec().async;
  return async ? staleness_factor(*async, round_of(task) - task.key.round) : 1;
}

// The round whose model the version is made from.
const RoundRow& base_of(const Job& job, Round version) {
  return job.rounds.at(rules_of(job).base(version));
}

double loss_before(const TaskRow& task) {
  const auto metric = task.result.metrics.find(std::string(kLossBefore));
  return metric == task.result.metrics.end() ? 0 : metric->second;
}

ModelView receipt(const Job& job, const RoundRow& round, Now now) {
  ModelView model;
  model.job = job.id();
  model.version = round.round;
  model.blob = *round.model;
  model.bytes = round.model_bytes;
  model.published_unix_ms = now.unix_ms;
  model.spec_digest = job.row.spec_digest;
  model.strategy = round.round == 0          ? "initialize"
                   : !round.model_of.empty() ? "single"
                                             : job.spec().strategy.kind;
  if (round.round > 0) {
    model.parent = base_of(job, round.round).model;
  }
  model.server_state = round.server_state;
  const auto updates = accepted_updates(job, round.round);
  const auto weights = merge_weights(job.spec().strategy, updates);
  const double total = std::accumulate(weights.begin(), weights.end(), 0.0);
  for (std::size_t i = 0; i < updates.size(); ++i) {
    const auto& result = updates[i]->result;
    model.contributions.push_back({updates[i]->key.site, *result.blob, result.examples,
                                   weights[i] / total, result.steps,
                                   started_from(job, *updates[i])});
  }
  return model;
}

}  // namespace

void start_merge(Step& step, Job& job, const RoundRow& round) {
  const auto& before = base_of(job, round.round);
  StartMerge merge;
  merge.job = job.id();
  merge.round = round.round;
  merge.strategy = job.spec().strategy;
  merge.local_lr = job.spec().train.learning_rate(round.round);
  merge.local_momentum = job.spec().train.optimizer.momentum;
  merge.prox_mu = job.spec().train.prox_mu;
  merge.places = static_cast<std::uint32_t>(places(job));
  merge.spec_digest = job.row.spec_digest;
  merge.model = *before.model;
  merge.server_state = before.server_state;
  merge.from_zeros = job.spec().kind == JobKind::predict;
  merge.layout = merge.from_zeros ? job.update_layout : job.layout;
  merge.update_layout = job.update_layout;
  merge.update = job.spec().update;
  const auto updates = accepted_updates(job, round.round);
  const auto weights = merge_weights(merge.strategy, updates);
  for (std::size_t i = 0; i < updates.size(); ++i) {
    merge.updates.push_back({updates[i]->key.site, *updates[i]->result.blob, weights[i],
                             factor_of(job, *updates[i]), loss_before(*updates[i]),
                             updates[i]->result.steps});
  }
  step.act(std::move(merge));
}

void publish(Step& step, Job& job, RoundRow& round, const MergedModel& merged, std::string origin) {
  round.model = merged.blob;
  round.model_bytes = merged.bytes;
  round.server_state = merged.server_state;
  round.server_state_bytes = merged.server_state_bytes;
  round.state = RoundState::done;
  step.save(round);
  auto model = receipt(job, round, step.now);
  if (!origin.empty()) {
    if (!job.spec().init->file) {
      model.parent = merged.blob;
    }
    model.origin = std::move(origin);
  }
  step.save(ModelRow{std::move(model)});
  step.audit("broker", "model.publish", fmt::format("model/{}@{}", job.id().str(), round.round),
             merged.blob.hex());
}

}  // namespace entente::broker
