#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "common/base/check.h"
#include "common/base/limits.h"
#include "common/base/prose.h"
#include "common/domain/lost_promise.h"
#include "common/domain/small_cells.h"
#include "common/domain/strategy_kinds.h"
#include "site-agent/core/agent_core.h"
#include "site-agent/core/peer_text.h"

namespace entente::agent {
namespace {

bool same_work(const TaskOrder& a, const TaskOrder& b) {
  return a.key.job == b.key.job && a.key.kind == b.key.kind && a.key.round == b.key.round;
}

// Whether the task reads that file of the broker's.
bool needs(const TaskOrder& order, const BlobId& blob) {
  return order.model == blob || order.control == blob || order.inputs == blob;
}

// What a trainer claims about its result, held against what the broker takes.
std::optional<Refusal> fault_of(const event::TrainerFinished& result) {
  if (result.examples > limits::kExamplesMax ||
      result.metrics.size() > limits::kMetricsPerResultMax) {
    return Refusal{"contract_violated",
                   "the trainer reported more examples or metrics than allowed",
                   "see the trainer's log at the site", Scope::task};
  }
  std::size_t name_bytes = 0;
  const auto is_name = [&name_bytes](const auto& named) {
    name_bytes += named.first.size();
    return !named.first.empty() && is_plain_text(named.first);
  };
  if (!std::all_of(result.sums.begin(), result.sums.end(), is_name) ||
      !std::all_of(result.metrics.begin(), result.metrics.end(), is_name) ||
      name_bytes > limits::kSumNamesBytesMax) {
    return Refusal{
        "contract_violated",
        "the trainer reported metrics or sums whose names are no plain text, or too long",
        "docs/trainer-contract.md says what a result may hold", Scope::task};
  }
  for (const auto& [name, values] : result.sums) {
    if (!std::all_of(values.begin(), values.end(), [](double v) { return std::isfinite(v); })) {
      return Refusal{"not_finite",
                     fmt::format("the sums \"{}\" are not finite: the model has diverged", name),
                     "try a lower learning rate", Scope::task};
    }
  }
  for (const auto& [name, value] : result.metrics) {
    if (!std::isfinite(value)) {
      return Refusal{
          "not_finite",
          fmt::format("the metric \"{}\" is not a finite number: training has diverged", name),
          "try a lower learning rate", Scope::task};
    }
  }
  return std::nullopt;
}

// Whatever made them: statistics that say more than the policy lets out stay in the house.
std::optional<Refusal> fault_of(const Sums& sums, const StatisticsSpec& spec,
                                std::uint64_t cell_min) {
  const auto statistics = site_statistics_from(sums, spec.bins);
  return statistics ? check_withheld(*statistics, cell_min) : std::optional(statistics.error());
}

}  // namespace

void AgentCore::take(const TaskOrder& order) {
  if (const auto known = outbox_.find(order.key); known != outbox_.end()) {
    announce(known->second);
    return;
  }
  if (const auto known = find(order.key); known != tasks_.end()) {
    if (!known->held) {
      report(*known, true);
    }
    return;
  }
  if (auto refusal = objection(order)) {
    warn("task_refused", refusal->message, order.key.job.str());
    say(msg::TaskFailed{order.key, {bounded(std::move(*refusal)), false}});
    return;
  }
  supersede(order);
  Job& job = jobs_.at(order.key.job);
  if (!order.ranges.empty()) {
    job.ranges = order.ranges;
  }
  if (answer_from_outbox(order)) {
    return;
  }
  const auto tasks_of_job = std::count_if(tasks_.begin(), tasks_.end(), [&](const Task& task) {
    return task.order.key.job == order.key.job;
  });
  if (static_cast<std::size_t>(tasks_of_job) >= kTasksPerJobMax) {
    say(msg::TaskFailed{order.key,
                        {{"site_full", "this site has too many open tasks of the job",
                          "the broker tries again", Scope::task},
                         true}});
    return;
  }
  Task task;
  task.order = order;
  task.heard_at = now_.monotonic;
  tasks_.push_back(std::move(task));
  // The model last: it is what stays for the next task.
  for (const auto& blob : {order.inputs, order.control, order.model}) {
    if (blob) {
      want_model(job, *blob);
    }
  }
}

std::optional<Refusal> AgentCore::objection(const TaskOrder& order) const {
  if (order.key.site != settings_.site) {
    return Refusal{"task_misdirected",
                   fmt::format("the task is for site \"{}\", this is \"{}\"", order.key.site.str(),
                               settings_.site.str()),
                   {},
                   Scope::task};
  }
  const auto job = jobs_.find(order.key.job);
  if (job == jobs_.end() || !job->second.accepted) {
    return Refusal{std::string(msg::kJobUnknown),
                   "this site has not agreed to take part in the job",
                   "offer the job before its tasks", Scope::site};
  }
  const Promise& promise = job->second.promise;
  if (auto refusal = objection(promise.coordinator, promise.spec)) {
    return refusal;
  }
  if (auto refusal = check_cohort(settings_.policy, order.cohort)) {
    return refusal;
  }
  if (!has_task(promise.spec.kind, order.key.kind)) {
    return Refusal{"task_invalid",
                   fmt::format("a job of the kind \"{}\" has no task \"{}\"",
                               to_string(promise.spec.kind), to_string(order.key.kind)),
                   {},
                   Scope::task};
  }
  const bool needs_model =
      order.key.kind != TaskKind::initialize && order.key.kind != TaskKind::statistics;
  if (needs_model != order.model.has_value()) {
    return Refusal{
        "task_invalid",
        order.model ? fmt::format("a task \"{}\" must not name a model", to_string(order.key.kind))
                    : "a task without a model to start from",
        {},
        Scope::task};
  }
  if (order.control && !(order.key.kind == TaskKind::train && has_control(promise.spec.strategy))) {
    return Refusal{
        "task_invalid", "the task names a control variate that it has no use for", {}, Scope::task};
  }
  const auto& predict = promise.spec.predict;
  if (order.inputs != (predict ? std::optional(predict->inputs) : std::nullopt)) {
    return Refusal{"task_invalid",
                   "the task is about other inputs than the job was offered with",
                   {},
                   Scope::task};
  }
  if (order.key.kind == TaskKind::statistics) {
    // Ranges that shift a little from one question to the next would tell single rows apart.
    const auto& asked = job->second.ranges;
    const bool is_first = order.key.round == 1;
    if (order.key.round > promise.spec.rounds || is_first != order.ranges.empty() ||
        (!is_first && asked && *asked != order.ranges)) {
      return Refusal{"task_invalid",
                     "the task asks for other ranges than the job's rounds may, or have",
                     {},
                     Scope::task};
    }
  }
  if (order.key.kind == TaskKind::evaluate &&
      !(promise.spec.evaluate && has_dataset(promise.spec.evaluate->dataset))) {
    return Refusal{"dataset_unknown", "this site does not have the job's evaluation dataset",
                   "evaluate at sites that advertise it", Scope::site};
  }
  return std::nullopt;
}

// The same order under a later attempt: what is finished is not computed again.
bool AgentCore::answer_from_outbox(const TaskOrder& order) {
  for (auto it = outbox_.begin(); it != outbox_.end(); ++it) {
    const TaskOrder& old = it->second.entry.order;
    if (same_work(old, order) && old.seed == order.seed && old.model == order.model &&
        old.steps == order.steps && old.ranges == order.ranges) {
      OutboxEntry entry{order, it->second.entry.result};
      if (it->second.uploading) {
        effects_.push_back(effect::StopUpload{it->first});
      }
      effects_.push_back(effect::DropResult{it->first});
      outbox_.erase(it);
      keep(std::move(entry));
      return true;
    }
  }
  return false;
}

void AgentCore::supersede(const TaskOrder& order) {
  for (auto it = tasks_.begin(); it != tasks_.end();) {
    const auto task = it++;
    const TaskKey& old = task->order.key;
    const bool is_earlier =
        std::pair(old.round, old.attempt) < std::pair(order.key.round, order.key.attempt);
    // A later round's evaluation does not make an earlier round's pointless.
    const bool is_replaced = old.kind == order.key.kind &&
                             (old.kind != TaskKind::evaluate || old.round == order.key.round);
    if (old.job == order.key.job && is_replaced && is_earlier) {
      note("task_superseded",
           fmt::format("round {} attempt {} ends: the broker asks for round {} attempt {}",
                       old.round, old.attempt, order.key.round, order.key.attempt),
           old.job.str());
      drop(task);
    }
  }
}

AgentCore::Tasks::iterator AgentCore::find(const TaskKey& key) {
  return std::find_if(tasks_.begin(), tasks_.end(),
                      [&](const Task& task) { return task.order.key == key; });
}

AgentCore::Tasks::iterator AgentCore::running_of(const JobId& job) {
  return std::find_if(tasks_.begin(), tasks_.end(), [&](const Task& task) {
    return task.stage == Stage::running && task.order.key.job == job;
  });
}

// A trainer handles one command at a time and cannot drop it: ending its task means ending it.
void AgentCore::drop(Tasks::iterator task) {
  if (task->stage == Stage::running) {
    const auto trainer = jobs_.at(task->order.key.job).trainer;
    ENTENTE_CHECK(trainer.has_value());
    stop_trainer(*trainer);
  }
  tasks_.erase(task);
}

void AgentCore::on(const event::TrainerProgressed& event) {
  const auto trainer = trainers_.find(event.trainer);
  if (trainer == trainers_.end()) {
    return;
  }
  if (const auto task = running_of(trainer->second.job); task != tasks_.end()) {
    task->progress = event.progress;
    report(*task, false);
  }
}

void AgentCore::on(const event::TrainerFinished& event) {
  const auto trainer = trainers_.find(event.trainer);
  if (trainer == trainers_.end()) {
    return;
  }
  trainer->second.state = TrainerState::idle;
  trainer->second.since = now_.monotonic;
  const auto task = running_of(trainer->second.job);
  if (task == tasks_.end()) {
    return;
  }
  if (auto fault = fault_of(event)) {
    fail(task, {std::move(*fault), false});
    return;
  }
  task->result.examples = event.examples;
  task->result.steps = event.steps;
  task->result.metrics = event.metrics;
  if (task->order.key.kind == TaskKind::evaluate) {
    if (auto refusal = check_evaluation(settings_.policy, event.examples)) {
      fail(task, {std::move(*refusal), false});
      return;
    }
    task->result.sums = event.sums;
    finish(task);
    return;
  }
  const bool has_metrics =
      task->order.key.kind != TaskKind::statistics && task->order.key.kind != TaskKind::predict;
  if (!has_metrics && !event.metrics.empty()) {
    fail(task, {{"contract_violated",
                 fmt::format("the trainer told metrics of a task \"{}\", which has none",
                             to_string(task->order.key.kind)),
                 "docs/trainer-contract.md says what a result may hold", Scope::task},
                false});
    return;
  }
  if (task->order.key.kind == TaskKind::statistics) {
    const auto& spec = jobs_.at(task->order.key.job).promise.spec;
    if (auto fault = fault_of(event.sums, *spec.statistics, settings_.policy.statistics_cell_min)) {
      fail(task, {std::move(*fault), false});
      return;
    }
    task->result.sums = event.sums;
    finish(task);
    return;
  }
  store_output(*task);
}

void AgentCore::on(const event::OutputStored& event) {
  for (const auto& blob : {std::optional(event.blob), event.residual, event.own}) {
    if (blob) {
      stored_.insert(*blob);
    }
  }
  if (const auto task = find(event.key); task == tasks_.end()) {
    for (const auto& blob : {std::optional(event.blob), event.residual, event.own}) {
      if (blob) {
        remove_unless_used(*blob);
      }
    }
  } else {
    if (event.residual || event.own) {
      keep_state({event.key.job, event.key.round, event.residual, event.own, false});
    }
    task->result.blob = event.blob;
    task->result.blob_bytes = event.bytes;
    finish(task);
  }
  output_settled();
}

void AgentCore::on(const event::OutputLost& event) {
  fail(event.key, event.failure);
  output_settled();
}

void AgentCore::output_settled() {
  ENTENTE_CHECK(outputs_being_stored_ > 0);
  if (--outputs_being_stored_ == 0) {
    for (const BlobId& blob : std::exchange(removals_postponed_, {})) {
      remove_unless_used(blob);
    }
  }
}

void AgentCore::finish(Tasks::iterator task) {
  const TaskKey& key = task->order.key;
  note("task_finished", fmt::format("round {}: {} is finished", key.round, to_string(key.kind)),
       key.job.str());
  OutboxEntry entry{task->order, std::move(task->result)};
  tasks_.erase(task);
  keep(std::move(entry));
}

void AgentCore::fail(Tasks::iterator task, TaskFailure failure) {
  failure.reason = bounded(std::move(failure.reason));
  const TaskKey key = task->order.key;
  warn("task_failed",
       fmt::format("round {}: {}: {}", key.round, to_string(key.kind), failure.reason.message),
       key.job.str());
  tasks_.erase(task);
  say(msg::TaskFailed{key, std::move(failure)});
}

void AgentCore::fail(const TaskKey& key, TaskFailure failure) {
  if (const auto task = find(key); task != tasks_.end()) {
    fail(task, std::move(failure));
  }
}

void AgentCore::report(Task& task, bool always) {
  if (!always && task.reported_at && now_.monotonic - *task.reported_at < kReportEvery) {
    return;
  }
  if (at_work()) {
    task.reported_at = now_.monotonic;
    task.heard_at = now_.monotonic;
    say(msg::TaskReport{task.order.key, task.progress});
  }
}

bool AgentCore::is_fetching(const Task& task) const {
  const auto& order = task.order;
  const auto blobs = {order.model, order.control, order.inputs};
  return std::any_of(blobs.begin(), blobs.end(),
                     [this](const auto& blob) { return blob && fetches_.contains(*blob); });
}

bool AgentCore::is_waiting_its_turn(const Task& task) const {
  return task.stage == Stage::waiting && !is_fetching(task) && !task.held;
}

// The newest model of a job stays for the next task; older ones go when nothing waits for them.
void AgentCore::want_model(Job& job, const BlobId& blob) {
  std::erase(job.models, blob);
  job.models.push_back(blob);
  unclaimed_.erase(blob);
  release_models(job);
  if (!stored_.contains(blob)) {
    Fetch& state = fetches_[blob];
    if (!state.running) {
      fetch(blob, state);
    }
  }
}

void AgentCore::fetch(const BlobId& blob, Fetch& state) {
  state.retry_at.reset();
  if (at_work()) {
    state.running = true;
    effects_.push_back(effect::Download{blob});
  }
}

bool AgentCore::is_awaited(const BlobId& blob) const {
  return std::any_of(tasks_.begin(), tasks_.end(), [&](const Task& task) {
    return task.stage != Stage::storing && needs(task.order, blob);
  });
}

bool AgentCore::is_model_of_a_job(const BlobId& blob) const {
  return std::any_of(jobs_.begin(), jobs_.end(), [&](const auto& entry) {
    const std::vector<BlobId>& models = entry.second.models;
    return std::find(models.begin(), models.end(), blob) != models.end();
  });
}

void AgentCore::release_models(Job& job) {
  const std::vector<BlobId> models = job.models;
  for (const BlobId& blob : models) {
    if (blob != models.back() && !is_awaited(blob)) {
      std::erase(job.models, blob);
      remove_unless_used(blob);
    }
  }
}

// Equal content has one name, so that a blob may be a result, and a model of several jobs, at once;
// also the one that is just being stored, whose name is not known yet.
void AgentCore::remove_unless_used(const BlobId& blob) {
  const bool is_result = std::any_of(outbox_.begin(), outbox_.end(), [&](const auto& entry) {
    return entry.second.entry.result.blob == blob;
  });
  if (is_result || is_model_of_a_job(blob) || is_site_state(blob)) {
    return;
  }
  if (const auto found = fetches_.find(blob); found != fetches_.end()) {
    if (found->second.running) {
      effects_.push_back(effect::StopDownload{blob});
      return;  // DownloadEnded clears up
    }
    fetches_.erase(found);
  }
  if (outputs_being_stored_ > 0) {
    removals_postponed_.insert(blob);
    return;
  }
  stored_.erase(blob);
  effects_.push_back(effect::RemoveBlob{blob});
}

void AgentCore::on(const event::DownloadMoved& event) {
  for (Task& task : tasks_) {
    if (task.stage == Stage::waiting && !task.held && needs(task.order, event.blob)) {
      task.progress = {event.done, event.total, "bytes down"};
      report(task, false);
    }
  }
}

void AgentCore::on(const event::DownloadEnded& event) {
  const auto found = fetches_.find(event.blob);
  if (found == fetches_.end()) {
    return;
  }
  Fetch& state = found->second;
  state.running = false;
  if (!event.refusal) {
    stored_.insert(event.blob);
    fetches_.erase(found);
    remove_unless_used(event.blob);
  } else if (!is_model_of_a_job(event.blob)) {
    remove_unless_used(event.blob);
  } else if (event.refusal->code == "stopped") {
    fetch(event.blob, state);  // stopped for one job and wanted again by another meanwhile
  } else if (event.refusal->code == "transfer_cut" || event.refusal->code == "not_granted") {
    // A broker that has been restarted grants the model again with its offers, which may come
    // after this site has asked: that costs no attempt.
    if (event.refusal->code == "transfer_cut") {
      warn("download_cut",
           fmt::format("the download of model {} was cut and goes on from there: {}",
                       event.blob.short_hex(), event.refusal->message));
    }
    state.retry_at = now_.monotonic + state.backoff.next(jitter_);
  } else {
    fetches_.erase(found);
    for (auto it = tasks_.begin(); it != tasks_.end();) {
      const auto task = it++;
      if (task->stage == Stage::waiting && needs(task->order, event.blob)) {
        fail(task, {*event.refusal, true});
      }
    }
  }
}

}  // namespace entente::agent
