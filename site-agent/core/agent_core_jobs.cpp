#include <fmt/format.h>

#include <algorithm>

#include "common/base/check.h"
#include "common/base/limits.h"
#include "common/base/quote.h"
#include "common/domain/brought_files.h"
#include "common/domain/cross_evaluation.h"
#include "common/domain/site_tensors.h"
#include "common/domain/update_encodings.h"
#include "site-agent/core/agent_core.h"
#include "site-agent/core/peer_text.h"

namespace entente::agent {

bool AgentCore::has_dataset(const std::string& name) const {
  return settings_.advert.find(name) != nullptr;
}

// Why this site would not work on such a job. An evaluation dataset that the site lacks is no
// objection, the job is then evaluated elsewhere, unless it evaluates every model at every site.
// One that it has falls under the policy.
std::optional<Refusal> AgentCore::objection(const std::string& coordinator,
                                            const JobSpec& spec) const {
  OfferFacts facts;
  facts.coordinator = coordinator;
  facts.kind = to_string(spec.kind);
  facts.datasets.push_back(spec.train.dataset);
  if (spec.evaluate && has_dataset(spec.evaluate->dataset)) {
    facts.datasets.push_back(spec.evaluate->dataset);
  }
  facts.layers = layer_kinds_of(spec.model);
  if (const auto model = model_of(spec)) {
    facts.parameters = model->layout.elements();
    facts.update_bytes =
        spec.kind == JobKind::predict && spec.predict ? outputs_layout(spec).bytes()
        : trains(spec.kind)
            ? encoded_layout(update_layout(spec, model->layout), spec.update).bytes()
            : 0;
  }
  facts.cohort = cohort_of(spec);
  facts.shows_single_sites = shows_single_sites(spec.kind);
  if (auto refusal = decide(settings_.policy, facts)) {
    return refusal;
  }
  const bool lacks_evaluation =
      spec.kind == JobKind::cross_evaluate && spec.evaluate && !has_dataset(spec.evaluate->dataset);
  if (!has_dataset(spec.train.dataset) || lacks_evaluation) {
    std::vector<std::string> available;
    for (const DatasetAdvert& dataset : settings_.advert.datasets) {
      available.push_back(dataset.name);
    }
    return dataset_unknown(lacks_evaluation ? spec.evaluate->dataset : spec.train.dataset,
                           available);
  }
  return std::nullopt;
}

void AgentCore::consider(const msg::JobOffer& offer, bool digest_matches) {
  const auto refuse_offer = [&](Refusal refusal) {
    decline(offer.job, offer.spec_digest, std::move(refusal), true);
  };
  if (!digest_matches) {
    refuse_offer({"job_altered", "the job's spec does not match the digest it was offered with",
                  "submit the job again", Scope::job});
    return;
  }
  if (const auto known = jobs_.find(offer.job); known != jobs_.end()) {
    Job& job = known->second;
    if (job.promise.spec_digest != offer.spec_digest) {
      refuse_offer({"job_changed", "this site knows a job of that name with another spec",
                    "submit the changed job as a new one", Scope::job});
    } else if (job.accepted) {
      say(msg::JobReply{offer.job, offer.spec_digest, std::nullopt});
    } else if (!job.waits.empty()) {
      say(msg::JobWaits{offer.job, offer.spec_digest, job.waits});
    }
    return;  // otherwise a trainer is checking the data; its answer decides
  }
  if (const auto known = declines_.find({offer.job, offer.spec_digest}); known != declines_.end()) {
    say(msg::JobReply{offer.job, offer.spec_digest, known->second});
    return;
  }
  if (auto refusal = objection(offer.coordinator, offer.spec)) {
    refuse_offer(std::move(*refusal));
    return;
  }
  if (auto refusal = denial(offer.job, offer.spec_digest)) {
    refuse_offer(std::move(*refusal));
    return;
  }
  if (auto model = validate(offer.spec); !model) {
    refuse_offer(std::move(model.error()));
    return;
  }
  if (!has_its_files(offer.spec)) {
    refuse_offer({"job_invalid", "the job names a file and not its digest",
                  "submit the job again with: entente job submit", Scope::job});
    return;
  }
  if (jobs_.size() >= kJobsMax) {
    decline(offer.job, offer.spec_digest,
            {"site_full", fmt::format("this site already takes part in {} jobs", jobs_.size()),
             "wait until one of them has ended", Scope::site},
            false);
    return;
  }
  note("job_offered",
       fmt::format("the policy allows this job of coordinator {}", quote(offer.coordinator)),
       offer.job.str());
  Promise promise{offer.job, offer.coordinator, offer.spec, offer.spec_digest};
  jobs_.emplace(offer.job, known_job(std::move(promise), false));
}

AgentCore::Job AgentCore::known_job(Promise promise, bool accepted) {
  Job job{std::move(promise), accepted, std::nullopt, {}, {}};
  if (const auto model = resolve_model(job.promise.spec.model)) {
    job.keeps_own = !site_layout(job.promise.spec, model->layout).tensors.empty();
  }
  return job;
}

void AgentCore::accept(Job& job) {
  job.accepted = true;
  effects_.push_back(effect::SavePromise{job.promise});
  note("job_accepted", "the data fits; this site takes part", job.promise.job.str());
  say(msg::JobReply{job.promise.job, job.promise.spec_digest, std::nullopt});
}

void AgentCore::decline(const JobId& job, const Digest& digest, Refusal refusal, bool remember) {
  refusal = bounded(std::move(refusal));
  warn("job_declined", refusal.message, job.str());
  if (remember && declines_.emplace(std::pair(job, digest), refusal).second) {
    declines_by_age_.emplace_back(job, digest);
    if (declines_by_age_.size() > kDeclinesKeptMax) {
      declines_.erase(declines_by_age_.front());
      declines_by_age_.pop_front();
    }
  }
  say(msg::JobReply{job, digest, std::move(refusal)});
}

void AgentCore::close(const JobId& job, const std::string& reason) {
  if (jobs_.contains(job)) {
    note("job_closed", reason.empty() ? "the broker has closed the job" : reason, job.str());
    forget(job);
  }
}

// What is trained already is not lost: it goes to the outbox and is announced.
void AgentCore::halt(const JobId& id, const std::string& reason) {
  const auto found = jobs_.find(id);
  if (found == jobs_.end() || !found->second.accepted) {
    return;
  }
  const auto ended = tasks_.remove_if([&](const Task& task) {
    return task.order.key.job == id &&
           (task.stage == Stage::waiting || task.stage == Stage::running);
  });
  const bool has_trainer = found->second.trainer.has_value();
  if (has_trainer) {
    stop_trainer(*found->second.trainer);
  }
  if (ended > 0 || has_trainer) {
    note("job_paused", reason.empty() ? "the broker has paused the job" : reason, id.str());
  }
}

// Ends everything of the job at this site: trainer, tasks, results, models, files, promise.
void AgentCore::forget(const JobId& id) {
  const auto found = jobs_.find(id);
  ENTENTE_CHECK(found != jobs_.end());
  if (found->second.trainer) {
    stop_trainer(*found->second.trainer);
  }
  std::vector<BlobId> blobs = found->second.models;
  for (const auto& [round, state] : found->second.states) {
    for (const auto& blob : {state.residual, state.own}) {
      if (blob) {
        blobs.push_back(*blob);
      }
    }
  }
  tasks_.remove_if([&](const Task& task) { return task.order.key.job == id; });
  for (auto it = outbox_.begin(); it != outbox_.end();) {
    const auto outgoing = it++;
    if (outgoing->first.job != id) {
      continue;
    }
    if (outgoing->second.uploading) {
      effects_.push_back(effect::StopUpload{outgoing->first});
    }
    if (outgoing->second.entry.result.blob) {
      blobs.push_back(*outgoing->second.entry.result.blob);
    }
    outbox_.erase(outgoing);
  }
  effects_.push_back(effect::ForgetPromise{id});
  jobs_.erase(found);
  for (const BlobId& blob : blobs) {
    remove_unless_used(blob);
  }
  effects_.push_back(effect::RemoveWorkFolder{id});
}

void AgentCore::on(const event::TrainerPrepared& event) {
  const auto found = trainers_.find(event.trainer);
  if (found == trainers_.end()) {
    return;
  }
  found->second.state = TrainerState::idle;
  found->second.since = now_.monotonic;
  Job& job = jobs_.at(found->second.job);
  if (!job.accepted) {
    accept(job);
  }
}

void AgentCore::on(const event::TrainerRefused& event) {
  const auto found = trainers_.find(event.trainer);
  if (found == trainers_.end()) {
    return;
  }
  Trainer& trainer = found->second;
  const JobId job = trainer.job;
  if (trainer.state == TrainerState::preparing) {
    stop_trainer(event.trainer);
    prepare_failed(job, event.failure);
    return;
  }
  trainer.state = TrainerState::idle;
  trainer.since = now_.monotonic;
  if (const auto task = running_of(job); task != tasks_.end()) {
    fail(task, event.failure);
  }
}

void AgentCore::on(const event::TrainerGone& event) {
  const auto found = trainers_.find(event.trainer);
  if (found == trainers_.end()) {
    return;
  }
  const Trainer trainer = found->second;
  trainers_.erase(found);
  jobs_.at(trainer.job).trainer.reset();
  switch (trainer.state) {
    case TrainerState::preparing:
      prepare_failed(trainer.job, event.failure);
      return;
    case TrainerState::idle:
      warn("trainer_gone", event.failure.reason.message, trainer.job.str());
      return;
    case TrainerState::busy:
      if (const auto task = running_of(trainer.job); task != tasks_.end()) {
        fail(task, event.failure);
      }
      return;
  }
}

void AgentCore::prepare_failed(const JobId& id, const TaskFailure& failure) {
  const Job& job = jobs_.at(id);
  if (!job.accepted) {
    const Digest digest = job.promise.spec_digest;
    effects_.push_back(effect::RemoveWorkFolder{id});
    jobs_.erase(id);
    decline(id, digest, failure.reason, !failure.transient);
    return;
  }
  for (auto it = tasks_.begin(); it != tasks_.end();) {
    const auto task = it++;
    if (task->order.key.job == id && task->stage == Stage::waiting) {
      fail(task, failure);
    }
  }
}

void AgentCore::start_trainer(Job& job) {
  ENTENTE_CHECK(!job.trainer);
  const TrainerId id = next_trainer_++;
  job.trainer = id;
  const auto started = trainers_.emplace(
      id, Trainer{job.promise.job, TrainerState::preparing, now_.monotonic, false});
  compute_in_place(started.first->second);
  effect::StartTrainer start{id, job.promise.job, job.promise.spec, {}};
  if (job.promise.spec.evaluate && has_dataset(job.promise.spec.evaluate->dataset)) {
    start.evaluate_dataset = job.promise.spec.evaluate->dataset;
  }
  effects_.push_back(std::move(start));
}

void AgentCore::run(const Task& task, const Job& job) {
  const TaskKey& key = task.order.key;
  effect::RunTask run{*job.trainer, task.order, settings_.policy.statistics_cell_min};
  if (key.kind != TaskKind::initialize && job.keeps_own) {
    const SiteState* state = state_for(job, key);
    run.own = state == nullptr ? std::nullopt : state->own;
    run.keeps_own = key.kind == TaskKind::train;
  }
  if (key.kind == TaskKind::predict) {
    run.own_of = job.promise.spec.predict->own;
  }
  effects_.push_back(std::move(run));
}

// True when one more trainer may start; stops the one that has been idle longest if it must.
bool AgentCore::make_room_for_trainer() {
  if (trainers_.size() < settings_.advert.slots + kSpareTrainersMax) {
    return true;
  }
  auto longest = trainers_.end();
  for (auto it = trainers_.begin(); it != trainers_.end(); ++it) {
    if (it->second.state == TrainerState::idle &&
        (longest == trainers_.end() || it->second.since < longest->second.since)) {
      longest = it;
    }
  }
  if (longest == trainers_.end()) {
    return false;
  }
  stop_trainer(longest->first);
  return true;
}

void AgentCore::stop_trainer(TrainerId id) {
  const auto found = trainers_.find(id);
  ENTENTE_CHECK(found != trainers_.end());
  jobs_.at(found->second.job).trainer.reset();
  trainers_.erase(found);
  effects_.push_back(effect::StopTrainer{id});
}

void AgentCore::stop_stale_trainers() {
  std::vector<TrainerId> idle;
  std::vector<TrainerId> stuck;
  for (const auto& [id, trainer] : trainers_) {
    const auto age = now_.monotonic - trainer.since;
    if (trainer.state == TrainerState::idle && age >= kTrainerIdleMax) {
      idle.push_back(id);
    } else if (trainer.state == TrainerState::preparing && age >= kPrepareMax) {
      stuck.push_back(id);
    }
  }
  for (const TrainerId id : idle) {
    note("trainer_stopped", "the trainer was idle; it starts again with the next task",
         trainers_.at(id).job.str());
    stop_trainer(id);
  }
  for (const TrainerId id : stuck) {
    const JobId job = trainers_.at(id).job;
    stop_trainer(id);
    prepare_failed(job, {{"trainer_stuck", "the trainer did not finish checking the data",
                          "see the trainer's log at the site", Scope::site},
                         true});
  }
}

void AgentCore::schedule() {
  patience_ends_.reset();
  place_wanted_ = false;
  if (!paused_) {
    give_turns();
  }
  settle_places();
}

void AgentCore::give_turns() {
  std::map<JobId, Wait> waiting;
  for (auto& [id, job] : jobs_) {
    if (job.accepted || job.trainer) {
      continue;
    }
    if (auto wait = must_wait_now(job.promise, false)) {
      waiting.emplace(id, std::move(*wait));
    } else if (may_compute({}) && make_room_for_trainer()) {
      start_trainer(job);
    }
  }
  const auto is_running = [](const Task& task) { return task.stage == Stage::running; };
  auto running =
      static_cast<std::uint32_t>(std::count_if(tasks_.begin(), tasks_.end(), is_running));
  for (Task& task : tasks_) {
    if (task.stage != Stage::waiting) {
      continue;
    }
    Job& job = jobs_.at(task.order.key.job);
    auto wait = must_wait_now(job.promise, starts_round(task.order));
    task.held = wait.has_value();
    if (wait) {
      waiting.emplace(task.order.key.job, std::move(*wait));
      continue;
    }
    const auto has = [this](const std::optional<BlobId>& blob) {
      return !blob || stored_.contains(*blob);
    };
    if (running >= settings_.advert.slots || !has(task.order.model) || !has(task.order.control) ||
        !has(task.order.inputs) || must_await_verdict(job, task.order.key)) {
      continue;
    }
    if (!job.trainer) {
      if (may_compute({}) && make_room_for_trainer()) {
        start_trainer(job);
      }
      continue;
    }
    Trainer& trainer = trainers_.at(*job.trainer);
    if (trainer.state == TrainerState::idle && may_compute(trainer)) {
      compute_in_place(trainer);
      trainer.state = TrainerState::busy;
      trainer.since = now_.monotonic;
      task.stage = Stage::running;
      ++running;
      spend_round(task.order);
      run(task, job);
    }
  }
  tell_waits(waiting);
}

}  // namespace entente::agent
