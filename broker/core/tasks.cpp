#include "broker/core/tasks.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "broker/core/balance.h"
#include "broker/core/buffering.h"
#include "broker/core/cohort.h"
#include "broker/core/evaluations.h"
#include "broker/core/jobs.h"
#include "broker/core/kinds.h"
#include "broker/core/leftovers.h"
#include "broker/core/requests.h"
#include "broker/core/result_checks.h"
#include "broker/core/rounds.h"
#include "broker/core/selection.h"
#include "broker/core/statistics.h"
#include "common/base/limits.h"
#include "common/domain/cross_evaluation.h"
#include "common/domain/lost_promise.h"
#include "common/domain/seeds.h"
#include "common/domain/strategy_kinds.h"

namespace entente::broker {
namespace {

std::string peer_of(const SiteId& site) { return "site/" + site.str(); }

// The model a task reads, with its size; nothing for one that needs none.
const RoundRow* model_round(const Job& job, const TaskKey& key) {
  if (key.kind == TaskKind::initialize || !has_model(job.spec().kind)) {
    return nullptr;
  }
  // A round goes on from the model of the one before; what evaluates a round reads its own.
  return &job.rounds.at(key.kind == task_in(job, key.round) ? key.round - 1 : key.round);
}

TaskOrder order_of(const Job& job, const TaskRow& task) {
  const auto& key = task.key;
  TaskOrder order;
  order.key = key;
  // The initial model must not depend on which site makes it.
  const auto site = key.kind == TaskKind::initialize ? std::string() : key.site.str();
  order.seed = repeated_seed(task_seed(job_seed(job.spec(), job.row.spec_digest), key.round, site),
                             taken_before(job, key));
  if (const auto* round = model_round(job, key)) {
    order.model = round->model;
    order.model_bytes = round->model_bytes;
    if (key.kind == TaskKind::train && has_control(job.spec().strategy)) {
      order.control = round->server_state;
      order.control_bytes = round->server_state_bytes;
    }
  }
  if (key.kind == TaskKind::predict) {
    order.inputs = job.spec().predict->inputs;
    order.inputs_bytes = job.spec().predict->inputs_bytes;
  }
  order.steps = task.steps;
  if (key.kind == TaskKind::statistics) {
    order.ranges = ranges_for(job, key.round);
  }
  // Sites, which the updates of a buffer may be fewer of.
  order.cohort = shows_single_sites(job.spec().kind)
                     ? 1
                     : static_cast<std::uint32_t>(rules_of(job).is_buffered ? quorum(job)
                                                                            : updates_wanted(job));
  return order;
}

void offer(Step& step, const Job& job, const Task& task) {
  const auto order = order_of(job, task.row);
  for (const auto& blob : {order.model, order.control, order.inputs}) {
    if (blob) {
      step.act(GrantGet{peer_of(task.row.key.site), *blob});
    }
  }
  step.send(task.row.key.site, msg::TaskOffer{order});
}

// The job of a task that its site speaks about; nothing when it has ended, or the task is another
// site's.
Job* heard_about(Step& step, const TaskKey& key, const SiteId& site) {
  const auto found = step.state.jobs.find(key.job);
  if (found == step.state.jobs.end() || found->second.ended() || key.site != site) {
    return nullptr;
  }
  heard_from(step, found->second, site);
  return &found->second;
}

Task* find_task(Job& job, const TaskKey& key) {
  const auto found = job.tasks.find(key);
  return found == job.tasks.end() ? nullptr : &found->second;
}

// The verdict was given and got lost: a site that keeps what its updates leave out must not take an
// accepted one for a refused one.
bool was_accepted(const Job& job, const msg::ResultAnnounce& announce) {
  const auto part = job.parts.find(announce.key.site);
  return part != job.parts.end() && part->second.accepted_key == announce.key &&
         part->second.accepted_update == announce.result.blob;
}

void touch(Step& step, Task& task) {
  task.last_progress = step.now.monotonic;
  task.running = true;
  task.stall_reported = false;
}

Refusal stale(const std::string& reason) {
  return {
      "stale",
      fmt::format("the job went on without this result{}{}", reason.empty() ? "" : ": ", reason),
      "", Scope::task};
}

std::string describe(const Job& job, const TaskKey& key) {
  switch (key.kind) {
    case TaskKind::initialize:
      return "making the initial model";
    case TaskKind::train:
      return fmt::format("training round {}", key.round);
    case TaskKind::evaluate:
      return "evaluating " + judged_text(*model_round(job, key), key.round);
    case TaskKind::statistics:
      return fmt::format("counting for round {}", key.round);
    case TaskKind::predict:
      return "predicting";
  }
  return {};
}

// How often the site has failed at this, under whatever attempt.
std::size_t failures_of(const Job& job, const TaskKey& key) {
  return static_cast<std::size_t>(
      std::count_if(job.tasks.begin(), job.tasks.end(), [&key](const auto& entry) {
        const auto& other = entry.first;
        return other.round == key.round && other.kind == key.kind && other.site == key.site &&
               entry.second.row.state == TaskState::failed;
      }));
}

// Forgets what the site has announced, and the grant with it: unless the same bytes are under way
// for another task too, as with two jobs of one spec.
void withdraw_announcement(Step& step, Task& task) {
  const auto announced = std::exchange(task.announced, std::nullopt);
  if (!announced || !announced->blob) {
    return;
  }
  const auto& site = task.row.key.site;
  const bool is_needed =
      std::any_of(step.state.jobs.begin(), step.state.jobs.end(), [&](const auto& job) {
        return std::any_of(job.second.tasks.begin(), job.second.tasks.end(),
                           [&](const auto& other) {
                             return other.first.site == site && other.second.announced &&
                                    other.second.announced->blob == announced->blob;
                           });
      });
  if (!is_needed) {
    step.act(Revoke{peer_of(site), *announced->blob});
  }
}

std::set<BlobId> upload_under_way(const Task& task) {
  return task.announced && task.announced->blob ? std::set{*task.announced->blob}
                                                : std::set<BlobId>();
}

void end_task(Step& step, Job& job, Task& task, TaskState state, std::string reason) {
  withdraw_announcement(step, task);
  task.row.state = state;
  task.row.reason = std::move(reason);
  step.save(task);
  note_progress(step, job.id());
}

void note_failure(Step& step, Job& job, const TaskKey& key, JobEventKind kind,
                  const std::string& reason) {
  auto& part = job.parts.at(key.site);
  part.row.reason = reason;
  step.save(part);
  JobEvent event;
  event.kind = kind;
  event.round = key.round;
  event.site = key.site.str();
  event.text = fmt::format("{}, {}: {}", key.site.str(), describe(job, key), reason);
  step.tell(job, std::move(event));
}

void refuse_result(Step& step, Job& job, Task& task, const Refusal& refusal) {
  const auto key = task.row.key;
  end_task(step, job, task, TaskState::failed, refusal.message);
  note_failure(step, job, key, JobEventKind::update_refused, "refused: " + refusal.message);
  step.audit("broker", "update.refuse", fmt::format("job/{}/{}", job.id().str(), key.round),
             fmt::format("site/{} {}", key.site.str(), refusal.code));
  step.send(key.site, msg::ResultVerdict{key, refusal});
}

std::string_view what_is_sent(TaskKind kind) {
  return kind == TaskKind::statistics ? "statistics"
         : kind == TaskKind::predict  ? "predictions"
                                      : "update";
}

void tell_accepted(Step& step, Job& job, const Task& task) {
  const auto& key = task.row.key;
  const auto& result = task.row.result;
  JobEvent event;
  event.round = key.round;
  event.site = key.site.str();
  event.metrics = result.metrics;
  event.examples = result.examples;
  event.bytes = result.blob_bytes;
  if (key.kind == TaskKind::evaluate) {
    event.kind = JobEventKind::evaluated;
    event.text = fmt::format("{} evaluated {} on {} examples", key.site.str(),
                             judged_text(*model_round(job, key), key.round), result.examples);
  } else {
    event.kind = JobEventKind::update_accepted;
    event.round = task.row.accepted_seq != 0 ? task.row.merged_in : key.round;
    event.text = key.kind == TaskKind::initialize
                     ? fmt::format("{} made the initial model", key.site.str())
                 : task.row.accepted_seq != 0
                     ? acceptance_text(job, task.row)
                     : fmt::format("{} sent its {} for round {}: {} examples", key.site.str(),
                                   what_is_sent(key.kind), key.round, result.examples);
  }
  step.tell(job, std::move(event));
}

// While a job rests no round of it closes, also when it has the updates that it takes.
bool is_surplus(const Job& job, const TaskKey& key) {
  const auto& rules = rules_of(job);
  return key.kind == rules.task(key.round) && !job.runs() && rules.draws(job) &&
         round_answers(job, key.round).size() >= updates_wanted(job);
}

void accept_result(Step& step, Job& job, Task& task, const TaskResult& result) {
  const auto key = task.row.key;
  if (is_surplus(job, key)) {
    give_up_task(step, job, task);
    return;
  }
  const bool is_of_round = key.kind == task_in(job, key.round);
  if (auto why = why_useless(job, task)) {
    give_up_task(step, job, task, std::move(*why));
    advance(step, job);
    return;
  }
  if (is_of_round && rules_of(job).is_buffered) {
    enter_buffer(job, task);
  }
  task.row.result = result;
  if (result.blob) {
    task.row.result.sums.clear();  // of no use: what counts is in the tensors
  }
  end_task(step, job, task, TaskState::done, "");
  auto& part = job.parts.at(key.site);
  part.row.reason.clear();
  part.row.bytes_out += result.blob_bytes;
  part.row.tensors_out += result.blob ? layout_of(job, key.kind)->tensors.size() : 0;
  if (is_of_round) {
    part.accepted_key = key;
    part.accepted_update = result.blob;
    part.row.last_round = round_of(task.row);
    if (key.kind == TaskKind::train || !trains(job.spec().kind)) {
      part.row.updates_accepted += 1;
      part.row.examples = result.examples;
    }
  }
  if (key.kind == TaskKind::train) {
    note_speed(part.row, task);
  }
  step.save(part);
  step.audit("broker", "update.accept", fmt::format("job/{}/{}", job.id().str(), key.round),
             fmt::format("site/{} {} {} examples {}{}", key.site.str(), to_string(key.kind),
                         result.examples, result.blob ? result.blob->hex() : "",
                         acceptance_detail(task.row)));
  step.send(key.site, msg::ResultVerdict{key, std::nullopt});
  tell_accepted(step, job, task);
  if (key.kind == TaskKind::initialize) {
    on_initial_model(step, job, task);
  } else if (!is_of_round) {
    on_evaluation_answered(step, job, key.round);
  }
  advance(step, job);
}

}  // namespace

Task& open_task(Step& step, Job& job, Round round, TaskKind kind, const SiteId& site) {
  TaskKey key{job.id(), round, kind, site, 1};
  const Task* before = nullptr;
  for (auto found = job.tasks.find(key); found != job.tasks.end(); found = job.tasks.find(key)) {
    before = &found->second;
    ++key.attempt;
  }
  Task& task = job.tasks[key];
  task.row.key = key;
  if (kind == TaskKind::train) {
    task.row.steps = before != nullptr ? before->row.steps : steps_for(step.state, job, site);
  }
  task.last_progress = step.now.monotonic;
  step.save(task);
  offer(step, job, task);
  return task;
}

void offer_open_tasks(Step& step, Job& job, const SiteId& site) {
  for (auto& [key, task] : job.tasks) {
    if (key.site == site && is_open(task)) {
      task.last_progress = step.now.monotonic;
      offer(step, job, task);
    }
  }
}

void take_up_tasks(Step& step, Job& job) {
  for (auto& [key, task] : job.tasks) {
    if (!is_open(task)) {
      continue;
    }
    const auto& part = job.parts.at(key.site).row;
    task.last_progress = step.now.monotonic - (part.silent ? job.spec().stall_window : Millis{0});
    if (part.claimed) {
      offer(step, job, task);
    } else if (!task.announced) {
      lose_task(step, job, task, "the job has no slot there any more");
    }
  }
}

void lose_task(Step& step, Job& job, Task& task, std::string reason) {
  const auto key = task.row.key;
  end_task(step, job, task, TaskState::lost, std::move(reason));
  if (job.ended()) {
    return;
  }
  const bool is_beside = key.kind == TaskKind::evaluate && key.kind != task_in(job, key.round);
  if (is_stalled(step, job, task) && !is_beside) {
    job.parts.at(key.site).row.silent = true;
  }
  note_failure(step, job, key, JobEventKind::task_lost, task.row.reason);
}

void fail_tasks_of(Step& step, Job& job, const SiteId& site, const std::string& reason) {
  for (auto& [key, task] : job.tasks) {
    if (key.site == site && is_open(task)) {
      end_task(step, job, task, TaskState::failed, reason);
      note_failure(step, job, key, JobEventKind::task_failed, reason);
    }
  }
}

void give_up_task(Step& step, Job& job, Task& task, std::string reason) {
  const auto key = task.row.key;
  const auto upload = upload_under_way(task);
  lose_task(step, job, task, std::move(reason));
  step.send(key.site, msg::ResultVerdict{key, stale(task.row.reason)});
  drop_unnamed(step, upload);
}

void end_without(Step& step, Job& job, Task& task, std::string reason) {
  if (!is_stalled(step, job, task)) {
    give_up_task(step, job, task, std::move(reason));
    return;
  }
  const auto upload = upload_under_way(task);
  lose_task(step, job, task, stalled_for(job));
  drop_unnamed(step, upload);
}

void lose_update(Step& step, Job& job, Task& task, std::string reason) {
  const auto key = task.row.key;
  const auto blob = std::exchange(task.row.result, {}).blob;
  if (rules_of(job).is_buffered) {
    task.row.merged_in = 0;  // its number stays: a later task's seed counts it
  }
  end_task(step, job, task, TaskState::lost, std::move(reason));
  auto& part = job.parts.at(key.site);
  part.row.updates_accepted -= 1;
  part.row.last_round = 0;  // it had rested when it was asked for this one
  if (part.accepted_key == key) {
    part.accepted_key.reset();
  }
  note_failure(step, job, key, JobEventKind::task_lost, task.row.reason);
  step.audit("broker", "update.lose", fmt::format("job/{}/{}", job.id().str(), key.round),
             fmt::format("site/{} {}", key.site.str(), blob->hex()));
}

void on_task_report(Step& step, const SiteId& site, const msg::TaskReport& report) {
  auto* job = heard_about(step, report.key, site);
  auto* task = job != nullptr ? find_task(*job, report.key) : nullptr;
  if (task == nullptr || !is_open(*task) || !job->runs()) {
    return;
  }
  touch(step, *task);
  task->progress = report.progress;
  note_training(*task, step.now.monotonic);
  note_progress(step, job->id());
}

void on_result_announce(Step& step, const SiteId& site, const msg::ResultAnnounce& announce) {
  const auto& key = announce.key;
  auto* job = heard_about(step, key, site);
  auto* task = job != nullptr ? find_task(*job, key) : nullptr;
  if (job != nullptr && task == nullptr && was_accepted(*job, announce)) {
    step.send(site, msg::ResultVerdict{key, std::nullopt});
    return;
  }
  if (task == nullptr || task->row.state == TaskState::failed ||
      task->row.state == TaskState::lost) {
    const bool has_reason = task != nullptr && task->row.state == TaskState::lost;
    step.send(site, msg::ResultVerdict{key, stale(has_reason ? task->row.reason : "")});
    return;
  }
  if (task->row.state == TaskState::done) {
    const bool is_same = task->row.result.blob == announce.result.blob;
    step.send(site, msg::ResultVerdict{
                        key, is_same ? std::nullopt
                                     : std::optional(Refusal{
                                           "conflict", "another result of this task was accepted",
                                           "", Scope::task})});
    return;
  }
  if (auto why = why_useless(*job, *task)) {
    give_up_task(step, *job, *task, std::move(*why));
    advance(step, *job);
    return;
  }
  touch(step, *task);
  measure(*task, announce.result.steps, step.now.monotonic);
  if (auto refusal = check_result(*job, task->row, announce.result)) {
    refuse_result(step, *job, *task, *refusal);
    advance(step, *job);
    return;
  }
  if (!announce.result.blob) {
    accept_result(step, *job, *task, announce.result);
    return;
  }
  if (task->announced && task->announced->blob != announce.result.blob) {
    withdraw_announcement(step, *task);
  }
  task->row.state = TaskState::uploading;
  task->announced = announce.result;
  task->progress = {0, announce.result.blob_bytes, "bytes up"};
  step.act(GrantPut{peer_of(site), *announce.result.blob, announce.result.blob_bytes,
                    layout_of(*job, key.kind), norm_max(job->spec(), key.kind),
                    update_spec(job->spec(), key.kind)});
  step.send(site, msg::ResultGrant{key, *announce.result.blob});
  note_progress(step, job->id());
}

void on_task_failed(Step& step, const SiteId& site, const msg::TaskFailed& failed) {
  auto* job = heard_about(step, failed.key, site);
  auto* task = job != nullptr ? find_task(*job, failed.key) : nullptr;
  // One that was stopped with its job is asked again, whatever became of it.
  if (task == nullptr || !is_open(*task) || !job->runs()) {
    return;
  }
  const auto key = failed.key;
  const bool is_to_be_asked_anew = failed.failure.reason.code == msg::kJobUnknown &&
                                   key.attempt - taken_before(*job, key) <= limits::kAttemptsMax;
  end_task(step, *job, *task, is_to_be_asked_anew ? TaskState::lost : TaskState::failed,
           failed.failure.reason.message);
  note_failure(step, *job, key, JobEventKind::task_failed, failed.failure.reason.message);
  if (is_to_be_asked_anew) {
    ask_anew(step, *job, site);
  } else if (failed.failure.transient && failures_of(*job, key) < limits::kAttemptsMax &&
             !step.state.sites.at(site).row.draining) {
    if (!rules_of(*job).is_buffered || key.kind != TaskKind::train) {
      open_task(step, *job, key.round, key.kind, site);
    } else if (job->rounds.rbegin()->second.state == RoundState::training) {
      open_task(step, *job, job->rounds.rbegin()->first, key.kind, site);
    }
  }
  advance(step, *job);
}

void on_update_arrived(Step& step, const UpdateArrived& arrived) {
  bool is_awaited = false;
  for (auto& [id, job] : step.state.jobs) {
    // Accepting a result may open and close tasks of the job: collect the keys first.
    std::vector<TaskKey> keys;
    for (const auto& [key, task] : job.tasks) {
      if (task.announced && task.announced->blob == arrived.blob &&
          peer_of(key.site) == arrived.peer) {
        keys.push_back(key);
      }
    }
    for (const auto& key : keys) {
      auto* task = find_task(job, key);
      if (task == nullptr || !task->announced) {
        continue;
      }
      is_awaited = true;
      if (arrived.l2_norm) {
        const auto result = *task->announced;
        accept_result(step, job, *task, result);
      } else {
        refuse_result(step, job, *task, arrived.l2_norm.error());
        advance(step, job);
      }
    }
  }
  if (!is_awaited && arrived.l2_norm) {
    drop_unnamed(step, {arrived.blob});
  }
}

void on_transfer_moved(Step& step, const TransferMoved& moved) {
  for (auto& [id, job] : step.state.jobs) {
    for (auto& [key, task] : job.tasks) {
      if (!job.runs() || !is_open(task) || peer_of(key.site) != moved.peer) {
        continue;
      }
      const bool is_upload = task.announced && task.announced->blob == moved.blob;
      const auto* round = model_round(job, key);
      const auto& predict = job.spec().predict;
      const bool is_download = !task.announced && round != nullptr &&
                               (round->model == moved.blob || round->server_state == moved.blob ||
                                (predict && predict->inputs == moved.blob));
      if (is_upload || is_download) {
        heard_from(step, job, key.site);
        touch(step, task);
        task.progress = {moved.done, moved.total, is_upload ? "bytes up" : "bytes down"};
        note_progress(step, job.id());
      }
    }
  }
}

}  // namespace entente::broker
